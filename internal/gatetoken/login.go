package gatetoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxLoginToken bounds the base64 of a login token: two names of 128 bytes, a
// group and a time fit in 600 characters.
const maxLoginToken = 1024

var (
	// ErrLogin says that a login token was not made with this server user's
	// password, whatever the cause.
	ErrLogin = errors.New("login token does not match")
	// ErrExpired says that a login token is genuine but its time is over.
	ErrExpired = errors.New("login token expired")
)

// Login is a session string of a server user, taken apart. It says what the
// client claims; Token proves that the client knows the server user's secret.
type Login struct {
	Server string // the server user's name
	Target string // the user to act for
	Group  string // the group to be restricted to, as written; "" if none
	Token  string // base64
}

// ServerKey returns what the core stores for a server user whose credentials
// file holds secret: the lower-case hex SHA-256. The functions below take that
// stored value as their password. Source: authentication reference §4.3.
func ServerKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// SplitLogin takes a session string of the form server:target:token or
// server:target:group:token apart. It checks the form only.
// Source: authentication reference §1.
func SplitLogin(session string) (Login, error) {
	f := strings.SplitN(session, ":", 5)
	switch {
	case len(f) == 3 && f[0] != "" && f[1] != "" && f[2] != "":
		return Login{Server: f[0], Target: f[1], Token: f[2]}, nil
	case len(f) == 4 && f[0] != "" && f[1] != "" && f[2] != "" && f[3] != "":
		return Login{Server: f[0], Target: f[1], Group: f[2], Token: f[3]}, nil
	}
	return Login{}, errors.New("session string: expected server:target:token or server:target:group:token")
}

// NewLogin returns the session string server:target:token with which server
// acts for target until expires. password is the stored one (see ServerKey).
// It uses the IV of releases from 6.2 on. It fails with ErrPassword, or when a
// name is empty or holds a colon. Source: authentication reference §4.3.
func NewLogin(password, server, target string, expires time.Time) (string, error) {
	for _, n := range []struct{ what, name string }{{"server user", server}, {"target user", target}} {
		if n.name == "" || strings.Contains(n.name, ":") {
			return "", fmt.Errorf("%s %q: expected a name without colons", n.what, n.name)
		}
	}
	block, err := newCipher(password)
	if err != nil {
		return "", err
	}
	text := pad([]byte(server + ":" + target + ":" + strconv.FormatInt(expires.Unix(), 10)))
	cipher.NewCBCEncrypter(block, []byte(password[:aes.BlockSize])).CryptBlocks(text, text)
	return server + ":" + target + ":" + base64.StdEncoding.EncodeToString(text), nil
}

// CheckLogin verifies the token of a login: that it was made with password by
// the server user named, and that its time is not over at now. Tokens of the
// older form (zero IV, up to 6.0) are accepted too. The target and group are not
// part of the proof, as in the reference: a server user is trusted to name
// whom it acts for. It returns the expiry, and nil, ErrLogin, ErrExpired or
// ErrPassword. Source: authentication reference §4.3.
func CheckLogin(password, server, token string, now time.Time) (time.Time, error) {
	block, err := newCipher(password)
	if err != nil {
		return time.Time{}, err
	}
	if len(token) > maxLoginToken {
		return time.Time{}, ErrLogin
	}
	var buf [maxLoginToken * 3 / 4]byte
	n, ok := decodeBase64(buf[:], token)
	if !ok || n == 0 || n%aes.BlockSize != 0 {
		return time.Time{}, ErrLogin
	}
	var zero [aes.BlockSize]byte
	text := buf[:n]
	cipher.NewCBCDecrypter(block, zero[:]).CryptBlocks(text, text)

	// In CBC the IV touches the first block only, so the other reading of the
	// text is one exclusive-or away. The newer form is tried first.
	subtle.XORBytes(text, text[:aes.BlockSize], []byte(password[:aes.BlockSize]))
	expires, ok := readLogin(text, server)
	if !ok {
		subtle.XORBytes(text, text[:aes.BlockSize], []byte(password[:aes.BlockSize]))
		expires, ok = readLogin(text, server)
	}
	if !ok {
		return time.Time{}, ErrLogin
	}
	if !expires.After(now) {
		return expires, ErrExpired
	}
	return expires, nil
}

// readLogin reads a decrypted login text: its first field must be the server
// user's name, its last the expiry.
func readLogin(text []byte, server string) (time.Time, bool) {
	text, ok := unpad(text)
	if !ok {
		return time.Time{}, false
	}
	name, rest, ok := strings.Cut(string(text), ":")
	if !ok || subtle.ConstantTimeCompare([]byte(name), []byte(server)) != 1 {
		return time.Time{}, false
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return time.Time{}, false
	}
	sec, err := strconv.ParseInt(rest[i+1:], 10, 64)
	if err != nil || sec < 0 {
		return time.Time{}, false
	}
	return time.Unix(sec, 0), true
}
