package tmpl_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

const oneKey = "0123456789abcdef0123456789abcdef and what follows is not used"

// The encrypted values were made with
// openssl enc -aes-256-cbc -K <32 characters as hexadecimal> -iv 0 -base64 -A.
var encrypted = []struct{ plain, stored string }{
	{"secret", "V21Pw0Y+YeGB920IhKtiDA=="},
	{"exactly 16 bytes", "ZRGD0mjOenH0heFkYiqSc5nlvnbAWd26bHx0pdg1RO0="},
	{"pässwörd with \"quotes\" and\nlines", "D5ripGIBbVVb5l69iBrNhSvJ66XT46kUt+peHW0VovpMgjuqd/tCXC9B8dfJ1XDI"},
	{"", "iqNiQf3o3wVNwyXGxpW4ng=="},
}

func TestEncrypt(t *testing.T) {
	list := []string{"ONE_PASSWORD", "CONTEXT/PASSWORD"}
	for _, tt := range encrypted {
		in := tmpl.New(single("A", tt.plain), single("ONE_PASSWORD", tt.plain), single("ONE_PASSWORD", "secret"),
			vec("CONTEXT", "PASSWORD", tt.plain, "USER", tt.plain), vec("CONTEXT", "X", "1"), vec("ONE_PASSWORD", "PASSWORD", tt.plain), single("CONTEXT", "x"))
		got, err := tmpl.Encrypt(in, list, oneKey)
		if err != nil {
			t.Fatal(err)
		}
		inVector := tt.stored
		if tt.plain == "" {
			inVector = "" // an empty sub-attribute stays so
		}
		want := tmpl.New(single("A", tt.plain), single("ONE_PASSWORD", tt.stored), single("ONE_PASSWORD", encrypted[0].stored),
			vec("CONTEXT", "PASSWORD", inVector, "USER", tt.plain), vec("CONTEXT", "X", "1"), vec("ONE_PASSWORD", "PASSWORD", tt.plain), single("CONTEXT", "x"))
		checkTemplate(t, got, want.All()...)

		again, err := tmpl.Encrypt(got, list, oneKey)
		if err != nil {
			t.Fatal(err)
		}
		checkTemplate(t, again, got.All()...)

		back, err := tmpl.Decrypt(got, list, oneKey)
		if err != nil {
			t.Fatal(err)
		}
		checkTemplate(t, back, in.All()...)
	}
}

func TestDecryptLeavesWhatIsNotEncrypted(t *testing.T) {
	for _, plain := range []string{
		"", "x", "secret", "not base64!",
		"AAAAAAAAAAAAAAAAAAAAAA==",                         // one block that is no text
		strings.Repeat("0123456789abcdef", 4),              // hexadecimal is base64 too: three blocks
		"V21Pw0Y+YeGB920IhKtiDQ==",                         // damaged
		encrypted[1].stored[:24],                           // half of one
		"c2hvcnQ=", encrypted[0].stored + "V21Pw0Y+YeGB92", // no whole blocks, no base64
	} {
		in := tmpl.New(single("P", plain))
		got, err := tmpl.Decrypt(in, []string{"P"}, oneKey)
		if err != nil {
			t.Fatal(err)
		}
		checkTemplate(t, got, single("P", plain))
	}
	// Under another key it is not a value of ours.
	got, err := tmpl.Decrypt(tmpl.New(single("P", encrypted[0].stored)), []string{"P"}, strings.Repeat("x", 32))
	if err != nil {
		t.Fatal(err)
	}
	checkTemplate(t, got, single("P", encrypted[0].stored))
}

func TestEncryptErrors(t *testing.T) {
	in := tmpl.New(single("P", "x"))
	for _, f := range []func(*tmpl.Template, []string, string) (*tmpl.Template, error){tmpl.Encrypt, tmpl.Decrypt} {
		for _, key := range []string{"", "short", strings.Repeat("k", 31)} {
			_, err := f(in, []string{"P"}, key)
			if err == nil || !strings.Contains(err.Error(), "expected at least 32") {
				t.Errorf("key of %d characters: %v", len(key), err)
			} else if key != "" && strings.Contains(err.Error(), key) {
				t.Errorf("the key is in the error: %v", err)
			}
		}
		if _, err := f(in, []string{"P/"}, oneKey); err == nil {
			t.Error("a bad list was accepted")
		}
	}
}
