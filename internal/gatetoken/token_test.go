package gatetoken

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
)

const (
	pass256 = "6ffcfbf1431c69c8a57fb79810e28b22c0278fd8d30190ed00391a3498579831"
	pass160 = "a94e03cdbcf1b4d7f1fb07138d4b515e752f62ef"
)

// The vectors of the OneGate reference, §2.
var vectors = []struct {
	password string
	id       int
	token    string
}{
	{pass256, 8, "VOSTohrMzgFCsy3T7x+gdw=="},
	{pass160, 1048576, "jUl4A32SkpXbsEwExX7SMBaqMOaZfVTn9/Or/lxmHfA="},
	{pass256, 0, "PNvaxw83+pHfWHupfkvu1A=="},
}

const stime = 1700000000

func TestNew(t *testing.T) {
	for _, v := range vectors {
		got, err := New(v.password, v.id, stime)
		if err != nil || got != v.token {
			t.Errorf("New(%d) = %q, %v; want %q", v.id, got, err, v.token)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	for _, v := range vectors {
		for name, token := range map[string]string{
			"as made":       v.token,
			"newline":       v.token + "\n",
			"crlf":          v.token + "\r\n",
			"no padding":    strings.TrimRight(v.token, "="),
			"blanks":        " " + v.token[:5] + " \t" + v.token[5:],
			"after padding": v.token + "zzzz",
		} {
			if err := Check(v.password, token, v.id, stime); err != nil {
				t.Errorf("VM %d, %s: %v", v.id, name, err)
			}
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	v := vectors[0]
	raw, err := base64.StdEncoding.DecodeString(v.token)
	if err != nil {
		t.Fatal(err)
	}
	longer := base64.StdEncoding.EncodeToString(append(append([]byte{}, raw...), raw...))
	for _, c := range []struct {
		name, password, token string
		id                    int
		stime                 int64
		want                  error
	}{
		{"empty", v.password, "", v.id, stime, ErrToken},
		{"not base64", v.password, "!!!!", v.id, stime, ErrToken},
		{"other VM", v.password, v.token, v.id + 1, stime, ErrToken},
		{"other start", v.password, v.token, v.id, stime + 1, ErrToken},
		{"other password", pass160, v.token, v.id, stime, ErrToken},
		{"flipped", v.password, "A" + v.token[1:], v.id, stime, ErrToken},
		{"cut", v.password, v.token[:8], v.id, stime, ErrToken},
		{"a second block", v.password, longer, v.id, stime, ErrToken},
		{"huge", v.password, strings.Repeat("A", 1<<20), v.id, stime, ErrToken},
		{"many blanks", v.password, v.token + strings.Repeat("\n", maxTokenText), v.id, stime, ErrToken},
		{"short password", pass160[:31], v.token, v.id, stime, ErrPassword},
		{"no password", "", v.token, v.id, stime, ErrPassword},
	} {
		if err := Check(c.password, c.token, c.id, c.stime); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := New("short", 1, stime); !errors.Is(err, ErrPassword) {
		t.Errorf("New with a short password: %v", err)
	}
}

// The longest text that an id and a time can make must still fit.
func TestExtremes(t *testing.T) {
	const minInt, minInt64 = math.MinInt, math.MinInt64
	token, err := New(pass256, minInt, minInt64)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(pass256, token, minInt, minInt64); err != nil {
		t.Error(err)
	}
}

func TestDecodeBase64(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"Q":            "",
		"QUI":          "AB",
		"QUI=":         "AB",
		"QUJD":         "ABC",
		"QUJDRA==":     "ABCD",
		"Q=UJD":        "ABC", // a '=' too early is skipped
		"QU=JD":        "A",   // from the third place on it ends the text
		"Q\nU\x00J-D_": "ABC",
	} {
		var buf [16]byte
		n, ok := decodeBase64(buf[:], in)
		if !ok || string(buf[:n]) != want {
			t.Errorf("%q: %q, %v; want %q", in, buf[:n], ok, want)
		}
	}
	var small [2]byte
	if _, ok := decodeBase64(small[:], "QUJD"); ok {
		t.Error("three bytes went into two")
	}
	if _, ok := decodeBase64(small[:1], "QUI="); ok {
		t.Error("two bytes went into one")
	}
}

func FuzzCheck(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.password, v.token, v.id, int64(stime))
	}
	f.Add(pass256, "VOSTohrMzgFCsy3T7x+gdw", 8, int64(stime))
	f.Add("short", "=", -1, int64(-1))
	f.Fuzz(func(t *testing.T, password, token string, id int, st int64) {
		err := Check(password, token, id, st)
		made, newErr := New(password, id, st)
		if newErr != nil {
			if !errors.Is(err, ErrPassword) {
				t.Fatalf("New fails with %v, Check with %v", newErr, err)
			}
			return
		}
		if e := Check(password, made, id, st); e != nil {
			t.Fatalf("own token refused: %v", e)
		}
		// Whatever is accepted decodes to the same bytes as the one token there is.
		if err == nil {
			var a, b [maxPlain]byte
			n, _ := decodeBase64(a[:], token)
			m, _ := decodeBase64(b[:], made)
			if string(a[:n]) != string(b[:m]) {
				t.Fatalf("accepted %q, made %q", token, made)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(pass256, vectors[0].token, 8, stime); err != nil {
			b.Fatal(err)
		}
	}
}
