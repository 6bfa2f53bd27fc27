package config

import (
	"reflect"
	"strings"
	"testing"
)

// A file as 6.8 has it, with a few settings changed.
const legacy68 = `# OneGate
:one_xmlrpc: http://localhost:2633/RPC2
:host: 0.0.0.0
:port: 5031
:ssl_server: https://gate.example.org
:log:
  :level: 3
  :system: 'syslog'
:auth: onegate
:core_auth: cipher
:oneflow_server: http://flow.example.org:2474
:permissions:
  :vm:
    :show: true
    :show_by_id: true
    :update: yes
    :update_by_id: false
  :service:
    :show: true
  :vnet:
    :show_by_id: true
:restricted_attrs:
  - SCHED_REQUIREMENTS
  - SERVICE_ID
:restricted_actions:
  #- deploy
:vnet_template_attributes:
  - DNS
  - GATEWAY
`

func TestLegacyGate(t *testing.T) {
	c := Default()
	ignored, err := readLegacyGate([]byte(legacy68), &c)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen.Gate, want.Gate.PublicURL = "0.0.0.0:5031", "https://gate.example.org"
	want.Gate.RestrictedAttrs = []string{"SCHED_REQUIREMENTS", "SERVICE_ID"}
	want.Gate.RestrictedActions = []string{"reboot"} // null is the default
	want.Gate.VNetAttributes = []string{"DNS", "GATEWAY"}
	want.Gate.Permissions = map[string]map[string]bool{
		"vm":      {"show": true, "show_by_id": true, "update": true, "update_by_id": false, "action_by_id": false},
		"service": {"show": true, "change_cardinality": false},
		"vrouter": {"show": false},
		"vnet":    {"show_by_id": true},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if want := []string{":log:/:level:", ":log:/:system:", ":core_auth:", ":oneflow_server:"}; !reflect.DeepEqual(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
}

// The files as 4.6, 5.12 and 7.4 ship them are taken over without a word of the
// operator's. Source: OneGate reference §3.
func TestLegacyGateOfReleases(t *testing.T) {
	const permissions = ":permissions:\n  :vm:\n    :show: true\n    :show_by_id: true\n    :update: true\n    :update_by_id: true\n    :action_by_id: true\n" +
		"  :service:\n    :show: true\n    :change_cardinality: true\n"
	const routers = "  :vrouter:\n    :show: true\n  :vnet:\n    :show_by_id: true\n"
	const restricted = ":restricted_attrs:\n  - SCHED_REQUIREMENTS\n  - SERVICE_ID\n  - ROLE_NAME\n:restricted_actions:\n  #- deploy\n  #- delete\n"
	const networks = ":vnet_template_attributes:\n  - NETWORK_ADDRESS\n  - NETWORK_MASK\n  - GATEWAY\n  - GATEWAY6\n  - DNS\n  - GUEST_MTU\n  - METRIC\n  - IP6_METRIC\n  - SEARCH_DOMAIN\n"
	for name, c := range map[string]struct {
		text    string
		routers bool // guests of virtual routers may ask
	}{
		"4.6":  {":one_xmlrpc: http://localhost:2633/RPC2\n:host: 127.0.0.1\n:port: 5030\n:debug_level: 3\n:auth: onegate\n:core_auth: cipher\n", true},
		"5.12": {":one_xmlrpc: http://localhost:2633/RPC2\n:host: 127.0.0.1\n:port: 5030\n#:ssl_server: https://x\n:debug_level: 3\n:auth: onegate\n:core_auth: cipher\n:oneflow_server: http://localhost:2474\n" + permissions + restricted, false},
		"7.4": {":one_xmlrpc: http://localhost:2633/RPC2\n:server:\n  :bind: 127.0.0.1\n  :port: 5030\n:log:\n  :level: 2\n  :system: 'file'\n:expire_delta: 1800\n:expire_margin: 300\n" +
			":auth: onegate\n:core_auth: cipher\n:oneflow_server: http://localhost:2474\n" + permissions + routers + restricted + networks, true},
	} {
		got := Default()
		if _, err := readLegacyGate([]byte(c.text), &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := Default()
		if got.Listen.Gate != "127.0.0.1:5030" || !reflect.DeepEqual(got.Gate.RestrictedAttrs, want.Gate.RestrictedAttrs) ||
			!reflect.DeepEqual(got.Gate.RestrictedActions, []string{"reboot"}) || !reflect.DeepEqual(got.Gate.VNetAttributes, want.Gate.VNetAttributes) {
			t.Errorf("%s: %+v", name, got)
		}
		for resource, actions := range legacyPermissions {
			for _, a := range actions {
				allowed, said := got.Gate.Permissions[resource][a]
				if want := c.routers || resource == "vm" || resource == "service"; (allowed || !said) != want {
					t.Errorf("%s: %s %s: %t", name, resource, a, allowed)
				}
			}
		}
	}
}

func TestLegacyGateDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", ":host:\n", "---\n"} {
		c, want := Default(), Default()
		want.Listen.Gate = "127.0.0.1:5030"
		if ignored, err := readLegacyGate([]byte(text), &c); err != nil || len(ignored) > 0 || !reflect.DeepEqual(c, want) {
			t.Errorf("%q: %+v, %q, %v", text, c, ignored, err)
		}
	}
	c := Default()
	ignored, err := readLegacyGate([]byte(":server:\n  :bind: ::1\n  :port: 5040\n  :environment: production\n:restricted_actions: []\n:restricted_attrs: []\n"), &c)
	if err != nil || c.Listen.Gate != "[::1]:5040" || len(c.Gate.RestrictedActions) != 0 || len(c.Gate.RestrictedAttrs) != 0 ||
		!reflect.DeepEqual(ignored, []string{":server:/:environment:"}) {
		t.Errorf("7.4's form: %+v, %q, %v", c, ignored, err)
	}
}

func TestLegacyGateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		":hosts: x\n":          "line 1: :hosts:: unknown key",
		"\n\nhost: x\n":        "line 3: host:: expected a key with a colon before it, such as :host:",
		":port: many\n":        `line 1: :port:: "many"; expected a number from 0 to 65535`,
		":port: 70000\n":       `line 1: :port:: "70000"; expected a number from 0 to 65535`,
		":host: 1\n:host: 2\n": "line 2: :host:: given twice",
		":permissions:\n  :vm:\n    :fly: true\n":     "line 3: :permissions:/:vm:/:fly:: unknown key",
		":permissions:\n  :vms:\n    :show: true\n":   "line 2: :permissions:/:vms:: unknown key",
		":permissions:\n  :vm:\n    :show: perhaps\n": `line 3: :permissions:/:vm:/:show:: "perhaps"; expected true or false`,
		":permissions: true\n":                        "line 1: :permissions:: expected keys and values",
		":log:\n  :colour: red\n":                     "line 2: :log:/:colour:: unknown key",
		":auth: opennebula\n":                         `line 1: :auth:: "opennebula"; expected onegate`,
		":restricted_attrs: {a: b}\n":                 "cannot unmarshal",
		":restricted_attrs: [A/B/C]\n":                "expected NAME or VECTOR/SUB",
		"- a\n":                                       "expected keys and values",
		":host: [a]\n":                                "line 1: :host:: expected a text",
		":host: x\n  :port: 1\n":                      "mapping values",
		strings.Repeat("#", maxFile) + "\n:a: 1":      "larger than",
	} {
		c := Default()
		if _, err := readLegacyGate([]byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func FuzzLegacyGate(f *testing.F) {
	f.Add([]byte(legacy68))
	f.Add([]byte(":server:\n  :bind: &a x\n  :port: *a\n"))
	f.Add([]byte(":permissions: &p\n  :vm: *p\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		c := Default()
		_, _ = readLegacyGate(text, &c)
	})
}
