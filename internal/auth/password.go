package auth

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // hashes of releases up to 5.8 must still be accepted
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of new password hashes (argon2id, the second recommendation of
// RFC 9106 scaled to small machines). They are part of each hash, so they may be
// raised later: weaker hashes are renewed at the next login.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
	// maxArgonMemory bounds what a stored hash may make us spend.
	maxArgonMemory = 256 * 1024
	maxArgonTime   = 16
)

// HashPassword returns a new argon2id hash in the usual $argon2id$… form.
func HashPassword(password string) (string, error) {
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// VerifyPassword tells whether a password is the one of a stored hash: argon2id,
// or the reference's hex SHA-256 (5.10 and later) and SHA-1 (before). stale means
// that it is right but should be stored anew with HashPassword.
func VerifyPassword(stored, password string) (good, stale bool) {
	if strings.HasPrefix(stored, "$argon2id$") {
		return verifyArgon(stored, password)
	}
	switch len(stored) {
	case 2 * sha256.Size:
		good = sameHash(stored, SHA256Hex(password))
	case 2 * sha1.Size:
		sum := sha1.Sum([]byte(password)) //nolint:gosec // see the import
		good = sameHash(stored, hex.EncodeToString(sum[:]))
	}
	return good, good
}

// SHA256Hex is how the reference stores core passwords.
func SHA256Hex(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// IsHash tells whether a string has the form of a stored password hash.
func IsHash(s string) bool {
	if strings.HasPrefix(s, "$argon2id$") {
		return true
	}
	_, err := hex.DecodeString(s)
	return err == nil && (len(s) == 2*sha256.Size || len(s) == 2*sha1.Size)
}

func sameHash(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(strings.ToLower(a)), []byte(b)) == 1
}

func verifyArgon(stored, password string) (good, stale bool) {
	f := strings.Split(stored, "$")
	if len(f) != 6 || f[2] != "v="+strconv.Itoa(argon2.Version) {
		return false, false
	}
	var memory, time, threads uint64
	for _, kv := range strings.Split(f[3], ",") {
		k, v, _ := strings.Cut(kv, "=")
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return false, false
		}
		switch k {
		case "m":
			memory = n
		case "t":
			time = n
		case "p":
			threads = n
		}
	}
	if memory == 0 || memory > maxArgonMemory || time == 0 || time > maxArgonTime || threads == 0 || threads > 16 {
		return false, false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(f[4])
	want, err2 := base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(want) == 0 || len(want) > 128 {
		return false, false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(time), uint32(memory), uint8(threads), uint32(len(want)))
	good = subtle.ConstantTimeCompare(got, want) == 1
	return good, good && (memory < argonMemory || time < argonTime)
}
