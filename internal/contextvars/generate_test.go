package contextvars

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

const endpoint = "http://169.254.16.9:5030"

// lines renders a CONTEXT as NAME=value lines.
func lines(v tmpl.Vector) string {
	var b strings.Builder
	for _, p := range v {
		fmt.Fprintf(&b, "%s=%s\n", p.Name, p.Value)
	}
	return b.String()
}

func TestGenerateGolden(t *testing.T) {
	routed := sampleVM()
	routed.Template = tmpl.New(
		tmpl.Single("VROUTER_ID", "5"), tmpl.Single("VROUTER_KEEPALIVED_ID", "6"), tmpl.Single("VROUTER_KEEPALIVED_PASSWORD", "kp"),
		tmpl.Vec("NIC", "NIC_ID", "0", "NETWORK_ID", "2", "AR_ID", "3", "IP6", "2001:db8::5", "IP6_ULA", "fd00::5", "PREFIX_LENGTH", "64",
			"VROUTER_IP", "10.0.0.9", "VROUTER_IP6", "2001:db8::9", "VROUTER_MANAGEMENT", "YES", "DNS", "9.9.9.9", "METHOD", "static", "IP6_METHOD", "auto", "ROUTES", "10/8 via 10.0.0.1"),
		tmpl.Vec("PCI", "PCI_ID", "0", "TYPE", "NIC", "NIC_ID", "1", "MAC", "02:00:00:00:00:01", "IP", "10.0.0.5", "VM_ADDRESS", "01:01.0", "NETWORK_ID", "2", "AR_ID", "3"),
		tmpl.Vec("PCI", "PCI_ID", "1", "VENDOR", "10de", "VM_ADDRESS", "01:02.0"),
		tmpl.Vec("PCI", "PCI_ID", "2", "VENDOR", "10de"),
	)
	for name, c := range map[string]struct {
		vm      *VM
		context tmpl.Vector
	}{
		"nics":    {sampleVM(), tmpl.Vec("C", "NETWORK", "YES", "TOKEN", "yes", "DISK_ID", "2", "TARGET", "hda", "ETH0_IP", "user's", "ETH0_OWN", "stays", "ONEGATE_ENDPOINT", "user's", "GATEWAY6", "x").Vector},
		"vrouter": {routed, tmpl.Vec("C", "NETWORK", "YES", "VROUTER_ID", "user's").Vector},
	} {
		got, err := Generate(c.context, c.vm, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, "testdata/"+name+".golden", lines(got))
		again, err := Generate(got, c.vm, endpoint)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: a second run changes it: %v", name, err)
		}
	}
}

func TestGenerateConditions(t *testing.T) {
	nic := tmpl.Vec("NIC", "NIC_ID", "0", "IP", "10.0.0.1", "MAC", "m")
	for _, c := range []struct {
		name    string
		vm      *tmpl.Template
		context []string
		want    string // NAME=value of all that was added or changed, or an error
	}{
		{"no NETWORK", tmpl.New(nic), []string{"A", "1"}, ""},
		{"NETWORK=NO", tmpl.New(nic), []string{"NETWORK", "NO"}, ""},
		{"NETWORK=TRUE is not YES", tmpl.New(nic), []string{"NETWORK", "TRUE"}, ""},
		{"no NICs", nil, []string{"NETWORK", "YES"}, ""},
		{"NIC without number", tmpl.New(tmpl.Vec("NIC", "IP", "10.0.0.1")), []string{"NETWORK", "YES"}, ""},
		{"AUTO without network", tmpl.New(tmpl.Vec("NIC", "NIC_ID", "0", "NETWORK_MODE", "auto")), []string{"NETWORK", "YES"}, ""},
		{"PCI address without NETWORK", tmpl.New(tmpl.Vec("PCI", "PCI_ID", "3", "TYPE", "NIC", "MAC", "m", "VM_ADDRESS", "a")), nil, "PCI3_ADDRESS=a\n"},
		{"PCI NIC", tmpl.New(tmpl.Vec("PCI", "PCI_ID", "3", "TYPE", "NIC", "MAC", "m", "IP6", "i")), []string{"NETWORK", "YES"}, "PCI3_IP6=i\nPCI3_MAC=m\n"},
		{"TOKEN=NO", nil, []string{"TOKEN", "NO"}, ""},
		{"a guest of 4.x", nil, []string{"TOKEN", "YES", "ONEGATE_URL", ""}, "ONEGATE_ENDPOINT=" + endpoint + "\nONEGATE_URL=" + endpoint + "/vm/18\nVMID=18\n"},
		{"ONEGATE_URL of the user", nil, []string{"TOKEN", "YES", "ONEGATE_URL", "u"}, "ONEGATE_ENDPOINT=" + endpoint + "\nVMID=18\n"},
		{"ONEGATE_URL without TOKEN", nil, []string{"ONEGATE_URL", ""}, ""},
		{"TOKEN", nil, []string{"TOKEN", "Yes", "VMID", "7"}, "ONEGATE_ENDPOINT=" + endpoint + "\nVMID=18\n"},
	} {
		context := tmpl.Vec("C", c.context...).Vector
		got, err := Generate(context, &VM{ID: 18, Template: c.vm}, endpoint)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var added strings.Builder
		for _, p := range got {
			if v, had := context.Lookup(p.Name); !had || v != p.Value {
				fmt.Fprintf(&added, "%s=%s\n", p.Name, p.Value)
			}
		}
		if added.String() != c.want {
			t.Errorf("%s: added %q, want %q", c.name, added.String(), c.want)
		}
	}
	_, err := Generate(tmpl.Vec("C", "TOKEN", "YES").Vector, &VM{}, "")
	if err == nil || err.Error() != "TOKEN set, but onegate endpoint was not defined in oned.conf." {
		t.Errorf("no endpoint: %v", err)
	}
	auto := tmpl.New(tmpl.Vec("NIC", "NIC_ID", "0", "NETWORK_MODE", "AUTO", "NETWORK_ID", "1", "IP", "10.0.0.7"))
	got, err := Generate(tmpl.Vec("C", "NETWORK", "YES").Vector, &VM{Template: auto}, "")
	if err != nil || got.Get("ETH0_IP") != "10.0.0.7" {
		t.Errorf("AUTO with a network: %v, %v", got, err)
	}
}

// The block of 6.8 has these 21 variables, no more, no fewer.
func TestBlockOfLevel(t *testing.T) {
	got, err := Generate(tmpl.Vec("C", "NETWORK", "YES").Vector, &VM{Template: tmpl.New(tmpl.Vec("NIC", "NIC_ID", "4"))}, "")
	if err != nil {
		t.Fatal(err)
	}
	const want = "DNS EXTERNAL GATEWAY IP IP6 IP6_GATEWAY IP6_METHOD IP6_METRIC IP6_PREFIX_LENGTH IP6_ULA MAC MASK METHOD METRIC MTU NETWORK SEARCH_DOMAIN VLAN_ID VROUTER_IP VROUTER_IP6 VROUTER_MANAGEMENT"
	var names []string
	for _, p := range got.Without("NETWORK") {
		if p.Value != "" {
			t.Errorf("%s=%q", p.Name, p.Value)
		}
		names = append(names, strings.TrimPrefix(p.Name, "ETH4_"))
	}
	if s := strings.Join(names, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestClear(t *testing.T) {
	full, err := Generate(tmpl.Vec("C", "NETWORK", "YES", "ETH0_OWN", "1", "ETH0_ALIAS_X", "2", "ETH0_ALIAS0_OWN", "3", "ETH10_IP", "4", "PCI1_OWN", "5").Vector, sampleVM(), "")
	if err != nil {
		t.Fatal(err)
	}
	full = full.With("PCI1_ADDRESS", "a").With("PCI1_MAC", "m").With("PCI11_MAC", "m")
	left := func(v tmpl.Vector, prefix string) (names []string) {
		for _, p := range v {
			if strings.HasPrefix(p.Name, prefix) {
				names = append(names, p.Name)
			}
		}
		return names
	}
	if got, want := left(ClearNIC(full, 0), "ETH0"), []string{"ETH0_ALIAS0_OWN", "ETH0_ALIAS_X", "ETH0_OWN"}; !reflect.DeepEqual(got, want) {
		t.Errorf("ClearNIC leaves %v", got)
	}
	if got := ClearNIC(full, 0); got.Get("ETH1_IP") == "" || got.Get("ETH10_IP") == "" {
		t.Error("ClearNIC takes other NICs' variables")
	}
	if got := left(ClearNIC(full, 1), "ETH1"); !reflect.DeepEqual(got, []string{"ETH10_IP"}) {
		t.Errorf("ClearNIC 1 leaves %v", got)
	}
	cleared := ClearAlias(full, 0, 1)
	if got := left(cleared, "ETH0_ALIAS1"); got != nil || !cleared.Has("ETH0_ALIAS0_IP") || !cleared.Has("ETH0_IP") {
		t.Errorf("ClearAlias: %v", got)
	}
	if got := left(ClearPCI(full, 1), "PCI"); !reflect.DeepEqual(got, []string{"PCI11_MAC", "PCI1_OWN"}) {
		t.Errorf("ClearPCI leaves %v", got)
	}
}

func TestUpdate(t *testing.T) {
	old := tmpl.Vec("C", "DISK_ID", "1", "TARGET", "hda", "NETWORK", "YES", "ETH0_IP", "10.0.0.1", "PASSWORD", "old$(", "A", "1").Vector
	for _, c := range []struct {
		name     string
		old      tmpl.Vector
		sent     []string
		merge    bool
		allowETH bool
		want     string // lines, or an error
		parsed   string // names that went through parse
	}{
		{"replace", old, []string{"B", "2", "A", "1"}, false, false, "A=1\nB=p2\nDISK_ID=1\nTARGET=hda\n", "B"},
		{"merge", old, []string{"B", "2", "A", "3"}, true, false, "A=p3\nB=p2\nDISK_ID=1\nETH0_IP=10.0.0.1\nNETWORK=YES\nPASSWORD=old$(\nTARGET=hda\n", "A B"},
		{"equal values are not parsed again", old, []string{"PASSWORD", "old$("}, false, false, "DISK_ID=1\nPASSWORD=old$(\nTARGET=hda\n", ""},
		{"disk stays", old, []string{"DISK_ID", "7", "TARGET", "vdz"}, false, false, "DISK_ID=1\nTARGET=hda\n", ""},
		{"an equal ETH is no change", old, []string{"ETH0_IP", "10.0.0.1"}, false, false, "DISK_ID=1\nETH0_IP=10.0.0.1\nTARGET=hda\n", ""},
		{"changed ETH", old, []string{"ETH0_IP", "10.0.0.2"}, false, false, "Unable to update ETH0_IP, update NIC to update network context", ""},
		{"added ETH", old, []string{"ETH10_DNS", "x"}, true, false, "Unable to add ETH10_DNS, update NIC to update network context", ""},
		{"allowed ETH", old, []string{"ETH0_IP", "10.0.0.2"}, false, true, "DISK_ID=1\nETH0_IP=p10.0.0.2\nTARGET=hda\n", "ETH0_IP"},
		{"not an ETH", old, []string{"ETHER", "1", "ETH_X", "2", "ETH0", "3", "ETHx_IP", "4"}, false, false, "DISK_ID=1\nETH0=p3\nETHER=p1\nETH_X=p2\nETHx_IP=p4\nTARGET=hda\n", "ETH0 ETHER ETH_X ETHx_IP"},
		{"no context yet", nil, []string{"A", "1"}, false, false, "Virtual machine does not have context, cannot add a new one.", ""},
		{"empty one", old, []string{}, false, false, "DISK_ID=1\nTARGET=hda\n", ""},
	} {
		var parsed []string
		got, err := Update(c.old, tmpl.Vec("C", c.sent...).Vector, c.merge, c.allowETH, func(v tmpl.Vector) (tmpl.Vector, error) {
			out := v
			for _, p := range v {
				parsed = append(parsed, p.Name)
				out = out.With(p.Name, "p"+p.Value)
			}
			return out, nil
		})
		result := lines(got)
		if err != nil {
			result = err.Error()
		}
		if result != c.want || strings.Join(parsed, " ") != c.parsed {
			t.Errorf("%s: %q, parsed %v; want %q, %q", c.name, result, parsed, c.want, c.parsed)
		}
	}
	if got, err := Update(old, nil, false, false, nil); err != nil || !reflect.DeepEqual(got, old) {
		t.Errorf("none sent: %v, %v", got, err)
	}
	if got, err := Update(nil, nil, false, false, nil); err != nil || got != nil {
		t.Errorf("neither: %v, %v", got, err)
	}
	boom := errors.New("boom")
	if _, err := Update(old, tmpl.Vec("C", "B", "2").Vector, true, false, func(tmpl.Vector) (tmpl.Vector, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("a failing parse: %v", err)
	}
}

func FuzzGenerate(f *testing.F) {
	f.Add("YES", "YES", "0", "1", "0", "IP", "10.0.0.1", "ETH0_IP", "x")
	f.Add("yes", "NO", "12", "", "7", "NETWORK_MODE", "AUTO", "ETH12_ALIAS7_DNS", "y")
	f.Add("YES", "", "-1", "2", "x", "GATEWAY", "$NAME", "PCI2_MAC", "z")
	f.Fuzz(func(t *testing.T, network, token, nicID, pciID, aliasID, attr, value, name, user string) {
		vm := &VM{ID: 3, Template: tmpl.New(
			tmpl.Vec("NIC", "NIC_ID", nicID, attr, value),
			tmpl.Vec("NIC_ALIAS", "PARENT_ID", nicID, "ALIAS_ID", aliasID, attr, value),
			tmpl.Vec("PCI", "PCI_ID", pciID, "TYPE", "NIC", attr, value),
		), Outside: Lookup{Network: func(int, int, string) string { return "net" }}}
		context := tmpl.Vec("C", "NETWORK", network, "TOKEN", token, name, user).Vector
		got, err := Generate(context, vm, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range got {
			if i > 0 && got[i-1].Name >= p.Name {
				t.Fatalf("%q behind %q", p.Name, got[i-1].Name)
			}
			if v, had := context.Lookup(p.Name); had && v != p.Value && !strings.HasPrefix(p.Name, "ETH") && !strings.HasPrefix(p.Name, "PCI") && !slices.Contains([]string{"ONEGATE_ENDPOINT", "ONEGATE_URL", "VMID"}, p.Name) {
				t.Fatalf("%s changed from %q to %q", p.Name, v, p.Value)
			}
		}
		for _, p := range context {
			if !got.Has(p.Name) {
				t.Fatalf("%q is gone", p.Name)
			}
		}
		if again, err := Generate(got, vm, endpoint); err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("not stable: %v", err)
		}
	})
}
