// Package contextvars decides which variables a VM's CONTEXT holds: it expands
// the variables a user wrote ($NAME, $NIC[IP], …), adds what the cloud adds (the
// ETHx block, PCIx, the gate's address, a virtual router's numbers) and judges
// changes to a running VM. It also reads the references to file images, which
// use the same small language.
//
// Everything is a pure function of its arguments. What lies outside the VM is
// asked for through VM.Outside. Errors are worded as the reference words them,
// with one exception: where the reference echoes the whole CONTEXT, passwords
// included, ours names the variable at fault.
//
// Level: 6.8 (no ETHx_ROUTES, no GATEWAY6). Sources: the OneGate reference, §5.3
// and §5.4; the XML-RPC reference, §7.2.1 (updateconf).
package contextvars
