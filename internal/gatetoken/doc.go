// Package gatetoken makes and checks the two secrets with which the gate and
// its neighbours prove who they are: the token a guest reads from token.txt,
// and the login string by which a service user (driver server_cipher) acts for
// somebody else.
//
// Both are AES-256-CBC over short colon-separated texts. All functions are
// pure: no clock, no randomness, no state. Nothing here logs, and no error
// carries a secret or a part of one.
//
// Sources: the OneGate reference, §2 (token) and §3 (login string); the
// authentication reference, §4.3 (server_cipher).
package gatetoken
