package gatetoken

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// opensslLogin was made with openssl enc -aes-256-cbc from serveradmin:ana:1700001800,
// key and IV being the first 32 and 16 characters of sha256("secret") in hex.
const opensslLogin = "4VUi9PMHy3/Xw8AzkPzYmviFpSo8FCO0apADLv/eEh8="

var now = time.Unix(1700000000, 0)

// oldLogin makes a token as releases up to 6.0 do: zero IV.
func oldLogin(t testing.TB, password, text string) string {
	t.Helper()
	block, err := newCipher(password)
	if err != nil {
		t.Fatal(err)
	}
	b := pad([]byte(text))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(b, b)
	return base64.StdEncoding.EncodeToString(b)
}

func TestServerKey(t *testing.T) {
	const want = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
	if got := ServerKey("secret"); got != want {
		t.Errorf("ServerKey = %s, want %s", got, want)
	}
}

func TestLoginVector(t *testing.T) {
	const want = "serveradmin:ana:" + opensslLogin
	got, err := NewLogin(ServerKey("secret"), "serveradmin", "ana", now.Add(1800*time.Second))
	if err != nil || got != want {
		t.Errorf("NewLogin = %q, %v; want %q", got, err, want)
	}
}

func TestLoginRoundTrip(t *testing.T) {
	key := ServerKey("secret")
	expires := now.Add(30 * time.Minute)
	session, err := NewLogin(key, "serveradmin", "ana", expires)
	if err != nil {
		t.Fatal(err)
	}
	l, err := SplitLogin(session)
	if err != nil {
		t.Fatal(err)
	}
	if l.Server != "serveradmin" || l.Target != "ana" || l.Group != "" {
		t.Errorf("split: %+v", l)
	}
	got, err := CheckLogin(key, l.Server, l.Token, now)
	if err != nil || !got.Equal(expires) {
		t.Errorf("check: %v, %v; want %v", got, err, expires)
	}
}

func TestCheckLogin(t *testing.T) {
	key := ServerKey("secret")
	fresh, _ := NewLogin(key, "serveradmin", "ana", now.Add(time.Minute))
	stale, _ := NewLogin(key, "serveradmin", "ana", now)
	token := func(session string) string { return session[strings.LastIndexByte(session, ':')+1:] }
	for _, c := range []struct {
		name, key, server, token string
		want                     error
	}{
		{"fresh", key, "serveradmin", token(fresh), nil},
		{"line breaks", key, "serveradmin", token(fresh)[:20] + "\n" + token(fresh)[20:] + "\n", nil},
		{"old form", key, "serveradmin", oldLogin(t, key, "serveradmin:ana:1700000001"), nil},
		{"old form, long", key, "serveradmin", oldLogin(t, key, "serveradmin:"+strings.Repeat("n", 128)+":1700000001"), nil},
		{"group inside", key, "serveradmin", oldLogin(t, key, "serveradmin:ana:105:1700000001"), nil},
		{"only two fields", key, "serveradmin", oldLogin(t, key, "serveradmin:1700000001"), ErrLogin},
		{"expired", key, "serveradmin", token(stale), ErrExpired},
		{"old form expired", key, "serveradmin", oldLogin(t, key, "serveradmin:ana:1699999999"), ErrExpired},
		{"other server", key, "oneadmin", token(fresh), ErrLogin},
		{"no time", key, "serveradmin", oldLogin(t, key, "serveradmin:ana:soon"), ErrLogin},
		{"negative time", key, "serveradmin", oldLogin(t, key, "serveradmin:ana:-5"), ErrLogin},
		{"other key", ServerKey("other"), "serveradmin", token(fresh), ErrLogin},
		{"half a block", key, "serveradmin", token(fresh)[:12], ErrLogin},
		{"empty", key, "serveradmin", "", ErrLogin},
		{"huge", key, "serveradmin", strings.Repeat("A", 1<<20), ErrLogin},
		{"short key", key[:31], "serveradmin", token(fresh), ErrPassword},
	} {
		if _, err := CheckLogin(c.key, c.server, c.token, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestSplitLogin(t *testing.T) {
	for in, want := range map[string]Login{
		"s:t:x":   {"s", "t", "", "x"},
		"s:t:5:x": {"s", "t", "5", "x"},
	} {
		if got, err := SplitLogin(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "s", "s:t", "s::x", ":t:x", "s:t:", "s:t::x", "s:t:5:", "s:t:5:x:y"} {
		if got, err := SplitLogin(in); err == nil {
			t.Errorf("%q accepted: %+v", in, got)
		}
	}
}

func TestNewLoginRefuses(t *testing.T) {
	key := ServerKey("secret")
	for _, c := range [][3]string{{key, "", "ana"}, {key, "s:x", "ana"}, {key, "s", ""}, {key, "s", "a:b"}, {"short", "s", "ana"}} {
		if got, err := NewLogin(c[0], c[1], c[2], now); err == nil {
			t.Errorf("%q %q accepted: %s", c[1], c[2], got)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("error shows the key: %v", err)
		}
	}
}

func FuzzCheckLogin(f *testing.F) {
	key := ServerKey("secret")
	f.Add(key, "serveradmin", opensslLogin)
	f.Add(key, "serveradmin", oldLogin(f, key, "serveradmin:ana:1700000001"))
	f.Add(key, "", "")
	f.Fuzz(func(t *testing.T, password, server, token string) {
		exp, err := CheckLogin(password, server, token, now)
		if err == nil && !exp.After(now) {
			t.Fatalf("accepted, yet expired at %v", exp)
		}
		if s, err := SplitLogin(token); err == nil && strings.ContainsRune(s.Server+s.Target+s.Group+s.Token, ':') {
			t.Fatalf("split %q into %+v", token, s)
		}
	})
}
