package tmpl_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var restrictedList = []string{
	"CONTEXT/FILES", "NIC/MAC", "NIC/VLAN_ID", "NIC/BRIDGE", "DISK/SIZE_PREV", "DEPLOY_ID", "PCI", "RAW", "user_priority",
	"USER_INPUTS/CPU", "USER_INPUTS/MEMORY", "TOPOLOGY", "TOPOLOGY/PIN_POLICY",
}

func newRestricted(t *testing.T, list ...string) *tmpl.Restricted {
	t.Helper()
	r, err := tmpl.NewRestricted(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckCreate(t *testing.T) {
	r := newRestricted(t, restrictedList...)
	for _, tt := range []struct{ in, attr string }{
		{"", ""},
		{"CPU=1 NIC=[NETWORK=x] DISK=[IMAGE=a]", ""},
		{"DEPLOY_ID=x", "DEPLOY_ID"},
		{"DEPLOY_ID=\"\"", "DEPLOY_ID"},
		{"deploy_id=x", "DEPLOY_ID"},
		{"USER_PRIORITY=1", "USER_PRIORITY"},
		{"RAW=[TYPE=kvm, DATA=x]", "RAW"},
		{"RAW=x", "RAW"},
		{"RAW=[]", "RAW"},
		{"PCI=[DEVICE=1]", "PCI"},
		{"NIC=[NETWORK=x, MAC=y]", "MAC"},
		{"NIC=[NETWORK=x] NIC=[mac=y]", "MAC"},
		{"NIC=[MAC=\"\"]", "MAC"},
		{"NIC=[VLAN_ID=1, BRIDGE=x]", "BRIDGE"},
		{"MAC=x FILES=y", ""},
		{"NIC=x", ""},
		{"NIC_ALIAS=[MAC=x]", ""},
		{"CONTEXT=[FILES=x] DEPLOY_ID=1", "FILES"},
		{"TOPOLOGY=[CORES=1]", "TOPOLOGY"},
		{"<T><NIC><MAC>x</MAC></NIC></T>", "MAC"},
		{"<T><raw><data>x</data></raw></T>", "RAW"},
	} {
		attr, bad := r.CheckCreate(mustParse(t, tt.in))
		if attr != tt.attr || bad != (tt.attr != "") {
			t.Errorf("%s: got %q, %v, want %q", tt.in, attr, bad, tt.attr)
		}
	}
	if _, bad := (*tmpl.Restricted)(nil).CheckCreate(mustParse(t, "RAW=x")); bad {
		t.Error("no restriction restricts")
	}
}

func TestCheckUpdate(t *testing.T) {
	r := newRestricted(t, restrictedList...)
	for _, tt := range []struct {
		name, old, next string
		replace, append string // the attribute that fails, or "kept: " and the template
	}{
		{"nothing", "", "", "kept: ", "kept: "},
		{"nothing restricted", "A=1", "A=2 B=[C=1]", "kept: A=2 B=[C=1]", "kept: A=2 B=[C=1]"},
		{"same", "DEPLOY_ID=1", "DEPLOY_ID=1 A=1", "kept: DEPLOY_ID=1 A=1", "kept: DEPLOY_ID=1 A=1"},
		{"new", "", "DEPLOY_ID=1", "DEPLOY_ID", "DEPLOY_ID"},
		{"new and empty", "", "DEPLOY_ID=\"\"", "DEPLOY_ID", "DEPLOY_ID"},
		{"different", "DEPLOY_ID=1", "DEPLOY_ID=2", "DEPLOY_ID", "DEPLOY_ID"},
		{"left out", "DEPLOY_ID=1 B=1", "A=1", "kept: DEPLOY_ID=1 A=1", "kept: A=1"},
		{"one more", "DEPLOY_ID=1", "DEPLOY_ID=1 DEPLOY_ID=2", "DEPLOY_ID", "DEPLOY_ID"},
		{"vector, same", "RAW=[DATA=x]", "RAW=[DATA=x]", "kept: RAW=[DATA=x]", "kept: RAW=[DATA=x]"},
		{"vector, new", "", "RAW=[DATA=x]", "RAW", "RAW"},
		{"vector, different", "RAW=[DATA=x]", "RAW=[DATA=y]", "RAW", "RAW"},
		{"vector, deleted", "RAW=[DATA=x]", "RAW=[]", "RAW", "RAW"},
		{"vector, left out", "RAW=[DATA=x] PCI=[D=1] PCI=[D=2]", "A=1", "kept: A=1 PCI=[D=1] PCI=[D=2] RAW=[DATA=x]", "kept: A=1"},
		{"vector by single", "RAW=[DATA=x]", "RAW=x", "RAW", "RAW"},

		{"sub, same", "NIC=[MAC=a, NETWORK=x]", "NIC=[MAC=a, NETWORK=y]", "kept: NIC=[MAC=a, NETWORK=y]", "kept: NIC=[MAC=a, NETWORK=y]"},
		{"sub, new", "NIC=[NETWORK=x]", "NIC=[NETWORK=x, MAC=a]", "NIC", "NIC"},
		{"sub, new vector", "", "NIC=[MAC=a]", "NIC", "NIC"},
		{"sub, different", "NIC=[MAC=a]", "NIC=[MAC=b]", "NIC", "NIC"},
		{"sub, left out", "NIC=[MAC=a, NETWORK=x]", "NIC=[NETWORK=x]", "NIC", "NIC"},
		{"sub, vector left out", "NIC=[MAC=a]", "A=1", "NIC", "kept: A=1"},
		{"sub, vector deleted", "NIC=[MAC=a]", "NIC=[]", "NIC", "NIC"},
		{"sub, by single", "NIC=[MAC=a]", "NIC=x", "NIC", "NIC"},
		{"sub, empty by single", "NIC=[MAC=\"\"]", "NIC=x", "NIC", "NIC"},
		{"sub, other vector by single", "NIC=[NETWORK=x]", "NIC=x", "kept: NIC=x", "kept: NIC=x"},
		{"sub, other vector left out", "NIC=[NETWORK=x]", "A=1", "kept: A=1", "kept: A=1"},
		{"sub, order is free", "NIC=[MAC=a] NIC=[MAC=b]", "NIC=[MAC=b] NIC=[MAC=a]", "kept: NIC=[MAC=b] NIC=[MAC=a]", "kept: NIC=[MAC=b] NIC=[MAC=a]"},
		{"sub, once less", "NIC=[MAC=a] NIC=[MAC=a]", "NIC=[MAC=a]", "NIC", "NIC"},
		{"sub, moved to another", "NIC=[MAC=a, VLAN_ID=b]", "NIC=[MAC=b, VLAN_ID=a]", "NIC", "NIC"},
		{"sub, values that run together", "NIC=[MAC=\"a\"]", "NIC=[MAC=\"\"]", "NIC", "NIC"},
		{"sub, more vectors without", "NIC=[MAC=a]", "NIC=[MAC=a] NIC=[NETWORK=x]", "kept: NIC=[MAC=a] NIC=[NETWORK=x]", "kept: NIC=[MAC=a] NIC=[NETWORK=x]"},

		{"both kinds, whole wins", "TOPOLOGY=[PIN_POLICY=x]", "A=1", "kept: A=1 TOPOLOGY=[PIN_POLICY=x]", "kept: A=1"},
		{"first by name", "", "RAW=x DEPLOY_ID=1", "DEPLOY_ID", "DEPLOY_ID"},
	} {
		for mode, want := range map[bool]string{true: tt.replace, false: tt.append} {
			old, next := mustParse(t, tt.old), mustParse(t, tt.next)
			attr, bad, kept := r.CheckUpdate(old, next, mode)
			got := attr
			if !bad {
				got = "kept: " + kept.Text()
			}
			if text, ok := cutKept(want); ok {
				want = "kept: " + mustParse(t, text).Text()
			}
			if got != want {
				t.Errorf("%s, replace %v: got %s, want %s", tt.name, mode, got, want)
			}
			if !next.Equal(mustParse(t, tt.next)) {
				t.Errorf("%s: the new template was changed in place", tt.name)
			}
		}
	}
}

func cutKept(s string) (string, bool) {
	const mark = "kept: "
	if len(s) < len(mark) || s[:len(mark)] != mark {
		return "", false
	}
	return s[len(mark):], true
}

func TestNewRestrictedErrors(t *testing.T) {
	for _, item := range []string{"", " ", "/", "/A", "A/", "A/B/C"} {
		want := `restricted attribute list: "` + item + `": expected NAME or VECTOR/SUB`
		if _, err := tmpl.NewRestricted([]string{"OK", item}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", item, err, want)
		}
	}
}
