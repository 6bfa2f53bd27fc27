// Package contextdisk makes the context CD of a VM: context.sh, token.txt and
// the user's files on a read-only ISO image labelled CONTEXT. It decides what
// the bytes are, not which variables a VM gets (see contextvars) nor where the
// image is kept. It runs on the host, and imports no server package.
//
// Source: the OneGate reference, §5.1 and §5.2.
package contextdisk
