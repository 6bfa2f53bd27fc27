package gatetoken

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
)

// keySize is the number of bytes of a password that make the AES-256 key. The
// bytes are taken as they are: hex digits are not decoded.
const keySize = 32

// Limits of what a caller may hand in; both are far above what is ever made.
const (
	maxTokenText = 256 // base64 characters of a guest token
	maxPlain     = 48  // bytes of "<id>:<stime>" with padding, three blocks
)

var (
	// ErrPassword says that the TOKEN_PASSWORD, or the stored password of a
	// server user, is shorter than the 32 bytes a key needs.
	ErrPassword = errors.New("password too short: the cipher key needs 32 bytes")
	// ErrToken says that a token is not the one of this VM, whatever the cause.
	ErrToken = errors.New("token does not match")
)

// New returns the token of a VM: standard base64, padded, one line, no newline.
// password is the TOKEN_PASSWORD of the user in TEMPLATE/CREATED_BY; stime is
// the VM's STIME in epoch seconds. It fails with ErrPassword only.
// Source: OneGate reference §2.
func New(password string, vmID int, stime int64) (string, error) {
	var buf [maxPlain]byte
	sealed, err := seal(buf[:0], password, vmID, stime)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// Check tells whether token is the one New makes for this VM. The token may
// carry blanks, line ends and missing padding, as the reference's decoder
// allows. It returns nil, ErrToken or ErrPassword.
//
// The expected token is computed and compared in constant time, instead of
// decrypting what came in: the cipher is deterministic, so both say the same,
// and there is no padding for an attacker to probe.
func Check(password, token string, vmID int, stime int64) error {
	var want, got [maxPlain]byte
	sealed, err := seal(want[:0], password, vmID, stime)
	if err != nil {
		return err
	}
	if len(token) > maxTokenText {
		return ErrToken
	}
	n, ok := decodeBase64(got[:], token)
	if !ok || subtle.ConstantTimeCompare(sealed, got[:n]) != 1 {
		return ErrToken
	}
	return nil
}

// seal appends the encrypted "<id>:<stime>" to dst.
func seal(dst []byte, password string, vmID int, stime int64) ([]byte, error) {
	block, err := newCipher(password)
	if err != nil {
		return nil, err
	}
	dst = strconv.AppendInt(dst, int64(vmID), 10)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, stime, 10)
	dst = pad(dst)
	var iv [aes.BlockSize]byte // the reference uses zeros: equal texts must give equal tokens
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(dst, dst)
	return dst, nil
}

// newCipher takes the first 32 bytes of a password as an AES-256 key.
func newCipher(password string) (cipher.Block, error) {
	if len(password) < keySize {
		return nil, ErrPassword
	}
	var key [keySize]byte
	copy(key[:], password)
	return aes.NewCipher(key[:])
}

// pad appends PKCS#7 padding.
func pad(b []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	return append(b, bytes.Repeat([]byte{byte(n)}, n)...)
}

// unpad removes PKCS#7 padding from whole blocks, and says whether it was right.
func unpad(b []byte) ([]byte, bool) {
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, false
	}
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}
