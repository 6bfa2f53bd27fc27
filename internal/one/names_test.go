package one_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

// The rules of names, in the reference's words. Source: XML-RPC reference §5.2.
func TestCheckName(t *testing.T) {
	const empty, long = "Invalid NAME, it cannot be empty", "Invalid NAME, max length is 128 chars"
	for name, want := range map[string]string{
		"web-1": "", "a b": "", "ü": "", "a.b_c%d@e*(f)[g]!?+=,~^`": "", "": empty, strings.Repeat("n", 128): "", strings.Repeat("n", 129): long,
		strings.Repeat("ü", 65): long,
	} {
		checkName(t, name, want)
	}
	for _, c := range "&|:\\\";/'#{}$<>" {
		checkName(t, "a"+string(c)+"b", "Invalid NAME, char '"+string(c)+"' is not allowed")
	}
	for _, c := range " \t\n\v\f\r" {
		checkName(t, "a"+string(c)+"b", "")
		if err := one.CheckUserName("a" + string(c) + "b"); err == nil || err.Error() != "Invalid NAME, char '"+string(c)+"' is not allowed" {
			t.Errorf("user name with %q: %v", c, err)
		}
		if err := one.CheckPassword("a" + string(c) + "b"); err == nil || err.Error() != "Invalid password, character '"+string(c)+"' is not allowed" {
			t.Errorf("password with %q: %v", c, err)
		}
	}
	if err := one.CheckPassword(""); err == nil || err.Error() != "Invalid password, it cannot be empty" {
		t.Errorf("empty password: %v", err)
	}
	if got := one.TrimName(" a \t\r\n\v\f"); got != " a" {
		t.Errorf("trimmed: %q", got)
	}
}

func checkName(t *testing.T, name, want string) {
	t.Helper()
	got := ""
	if err := one.CheckName(name); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%q: got %q, want %q", name, got, want)
	}
}

// Permissions of new objects and chmod. Source: identity reference §6.1, §6.2.
func TestPerms(t *testing.T) {
	for _, q := range []struct {
		admin bool
		umask uint16
		want  one.Perms
	}{{true, 0o177, 0o600}, {false, 0o177, 0o600}, {true, 0, 0o777}, {false, 0, 0o666}, {true, 0o137, 0o640}, {false, 0o777, 0}} {
		if got := one.DefaultPerms(q.admin, q.umask); got != q.want {
			t.Errorf("admin %v, umask %03o: got %03o, want %03o", q.admin, q.umask, got, q.want)
		}
	}
	if got := one.Perms(0o642).Bits(); got != [9]int{1, 1, 0, 1, 0, 0, 0, 1, 0} {
		t.Errorf("bits of 642: %v", got)
	}
	for p := range one.Perms(0o1000) {
		if got := one.Perms(0).WithBits(p.Bits()); got != p {
			t.Fatalf("%03o comes back as %03o", p, got)
		}
		if got := p.WithBits([9]int{-1, -1, -1, -1, -1, -1, -1, -1, -1}); got != p {
			t.Fatalf("%03o is changed by nothing to %03o", p, got)
		}
	}
	if got := one.Perms(0o640).WithBits([9]int{0, -1, 1, -1, 1, -1, -1, -1, 1}); got != 0o361 {
		t.Errorf("got %03o", got)
	}
}
