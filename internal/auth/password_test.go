package auth_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
)

func TestVerifyPassword(t *testing.T) {
	h := argon(t, secret)
	weak := "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$" // its key is wrong: only its form matters
	for _, q := range []struct {
		name, stored, password string
		good, stale            bool
	}{
		{"argon2id", h, secret, true, false},
		{"argon2id, wrong", h, "x", false, false},
		{"SHA-256", auth.SHA256Hex(secret), secret, true, true},
		{"SHA-256 in capitals", strings.ToUpper(auth.SHA256Hex(secret)), secret, true, true},
		{"SHA-256, wrong", auth.SHA256Hex(secret), "x", false, false},
		{"SHA-1", sha1Hex(secret), secret, true, true},
		{"SHA-1, wrong", sha1Hex(secret), "x", false, false},
		{"clear text is no hash", secret, secret, false, false},
		{"nothing stored", "", "", false, false},
		{"argon2id, no key", weak, secret, false, false},
		{"argon2id, too few fields", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA", secret, false, false},
		{"argon2id, another version", strings.Replace(h, "v=19", "v=16", 1), secret, false, false},
		{"argon2id, too much memory", strings.Replace(h, "m=19456", "m=4194304", 1), secret, false, false},
		{"argon2id, too many passes", strings.Replace(h, "t=2", "t=4000", 1), secret, false, false},
		{"argon2id, no threads", strings.Replace(h, "p=1", "p=0", 1), secret, false, false},
		{"argon2id, no number", strings.Replace(h, "p=1", "p=x", 1), secret, false, false},
	} {
		if good, stale := auth.VerifyPassword(q.stored, q.password); good != q.good || stale != q.stale {
			t.Errorf("%s: good %v, stale %v", q.name, good, stale)
		}
	}
	if again := argon(t, secret); again == h {
		t.Error("two hashes of one password are alike: no salt")
	}
	for s, want := range map[string]bool{h: true, auth.SHA256Hex("x"): true, sha1Hex("x"): true, "abc": false, strings.Repeat("z", 64): false, "": false} {
		if auth.IsHash(s) != want {
			t.Errorf("IsHash(%q) = %v", s, !want)
		}
	}
}

func FuzzVerifyPassword(f *testing.F) {
	f.Add(argon(f, "x"), "x")
	f.Add(auth.SHA256Hex("x"), "x")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "x")
	f.Fuzz(func(t *testing.T, stored, password string) {
		if strings.HasPrefix(stored, "$argon2id$") && strings.Contains(stored, "m=") && len(stored) > 60 {
			return // bounded, but too slow to be fuzzed
		}
		if good, stale := auth.VerifyPassword(stored, password); stale && !good {
			t.Error("a wrong password is to be renewed")
		}
	})
}
