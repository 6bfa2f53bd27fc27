package cloud

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/contextdisk"
	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

const testEndpoint = "http://192.0.2.1:5030"

// contextWorld is a world with a gate, in which networks tell guests something.
func contextWorld(t *testing.T) *world {
	w := newWorld(t)
	w.Cloud.cfg.OneGateEndpoint = testEndpoint
	w.do(func(tx *store.Tx) {
		n := *tx.VNets.At(0)
		n.Template = n.Template.Merge(parsed(`DNS="192.0.2.53" GATEWAY="10.0.0.254"`))
		tx.PutVNet(&n)
	})
	return w
}

// create makes a VM of owner's.
func (w *world) create(text string) *one.VM {
	w.t.Helper()
	id, err := w.AllocateVM(w.ctx, w.as(owner), parsed("CPU=1 MEMORY=64\n"+text), true)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.vm(id)
}

func (w *world) vm(id int) *one.VM {
	w.t.Helper()
	v, ok := w.View().VM(id)
	if !ok {
		w.t.Fatalf("no VM %d", id)
	}
	return v
}

// context returns the CONTEXT of a VM, in clear.
func (w *world) context(v *one.VM) tmpl.Vector {
	return w.Clear(auth.System("test"), one.KindVM, v.Template).Vector("CONTEXT")
}

// What a user writes in CONTEXT may stand for values of the VM that is made of it,
// and of what is around it. Source: OneGate reference §5.4.
func TestContextReferences(t *testing.T) {
	t.Parallel()
	w := contextWorld(t)
	v := w.create(`NAME=web COLOR=red DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0]
		CONTEXT=[A="$NAME/$VMID/$CPU/$UNAME/$UID/$GNAME/$GID/$COLOR/$NOTHING.", B="$NIC[IP, NETWORK=\"net\"]", C="$NETWORK[DNS, NETWORK=\"net\"]",
			D="$IMAGE[DEV_PREFIX, IMAGE_ID=0]", E="$USER[TOKEN_PASSWORD]", F="5\$"]`)
	id := itoa(v.ID)
	for name, want := range map[string]string{
		"A": "web/" + id + "/1/owner/2/users/1/red/.", "B": v.Template.Vector("NIC").Get("IP"), "C": "192.0.2.53", "D": "sd", "E": "0123", "F": `5\$`,
		"DISK_ID": "1", "TARGET": "hda",
	} {
		if got, ok := w.context(v).Lookup(name); !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// $TEMPLATE and its like give whole documents, without what a guest must not learn.
func TestContextDocuments(t *testing.T) {
	t.Parallel()
	w := contextWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(owner)
		u.Password, u.Template = "hash of a password", u.Template.Merge(parsed(`TOKEN_PASSWORD="t0k3n" SSH_PRIVATE_KEY="k3y" TEAM="blue"`))
		tx.PutUser(&u)
	})
	v := w.create(`NAME=web COLOR=red DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0] CONTEXT=[PASSWORD="s3cret", TOKEN=YES, V="$TEMPLATE",
		N="$NETWORK[TEMPLATE, NETWORK=\"net\"]", I="$IMAGE[TEMPLATE, IMAGE=\"disk\"]", U="$USER[TEMPLATE]", X="$NETWORK[TEMPLATE, NETWORK=\"idle\"]"]`)
	vars := w.context(v)
	for name, wants := range map[string][]string{
		"V": {"<VM><ID>" + itoa(v.ID) + "</ID>", "<NAME>web</NAME>", "<CPU><![CDATA[1]]></CPU>", "<COLOR><![CDATA[red]]></COLOR>", "<NETWORK><![CDATA[net]]></NETWORK>"},
		"N": {"<VNET><ID>0</ID>", "<DNS><![CDATA[192.0.2.53]]></DNS>"},
		"I": {"<IMAGE><ID>0</ID>", "<DEV_PREFIX><![CDATA[sd]]></DEV_PREFIX>"},
		"U": {"<USER><ID>" + itoa(owner) + "</ID>", "<TEAM><![CDATA[blue]]></TEAM>", "<PASSWORD><![CDATA[]]></PASSWORD>"},
	} {
		text, err := base64.StdEncoding.DecodeString(vars.Get(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s: %s", name, want, text)
			}
		}
		for _, secret := range []string{"s3cret", "hash of", "t0k3n", "k3y", "LOGIN_TOKEN", "<LEASE>", "CONTEXT"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s tells %q: %s", name, secret, text)
			}
		}
	}
	if got := vars.Get("X"); got != "" {
		t.Errorf("a network the VM does not use: %s", got)
	}
}

// updateconf makes the variables of the cloud anew, whatever is sent; with a token
// that is new, its owner's password too. Source: XML-RPC reference §7.2.1, OneGate
// reference §2 and §5.3.
func TestUpdateContext(t *testing.T) {
	t.Parallel()
	w := contextWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(owner)
		u.Template = nil // as a replaced user template leaves it
		tx.PutUser(&u)
	})
	v := w.create(`NAME=web NIC=[NETWORK_ID=0] CONTEXT=[NETWORK=YES, PASSWORD="s3cret", OLD="$NAME"]`)
	ip := v.Template.Vector("NIC").Get("IP")
	if v.Template.Has("CREATED_BY") || w.View().Users.At(owner).Template.Has("TOKEN_PASSWORD") {
		t.Error("a VM without a token has left something for one")
	}
	update := func(text string, mode int) error { return w.UpdateVMConf(w.ctx, w.as(owner), v.ID, parsed(text), mode) }
	if err := update(`CONTEXT=[NEW="$NIC[IP] of $NAME"]`, 1); err != nil {
		t.Fatal(err)
	}
	had := w.context(w.vm(v.ID))
	for name, want := range map[string]string{
		"NEW": ip + " of web", "OLD": "web", "PASSWORD": "s3cret", "ETH0_IP": ip, "ETH0_DNS": "192.0.2.53", "ETH0_METHOD": "", "DISK_ID": "0", "TARGET": "hda",
	} {
		if got, ok := had.Lookup(name); !ok || got != want {
			t.Errorf("merged: %s is %q, want %q", name, got, want)
		}
	}
	if w.vm(v.ID).Template.Vector("CONTEXT").Get("PASSWORD") == "s3cret" {
		t.Error("the password is kept in clear")
	}
	// What the network says by now counts, and nothing of the old user's variables.
	w.do(func(tx *store.Tx) {
		n := *tx.VNets.At(0)
		n.Template = n.Template.Merge(parsed(`DNS="192.0.2.54"`))
		tx.PutVNet(&n)
	})
	if err := update(`CONTEXT=[NETWORK=YES, TOKEN=Yes, VMID=99, ONEGATE_ENDPOINT="http://elsewhere"]`, 0); err != nil {
		t.Fatal(err)
	}
	now := w.vm(v.ID)
	var lines []string
	for _, p := range w.context(now) {
		if p.Value != "" {
			lines = append(lines, p.Name+"="+p.Value)
		}
	}
	mac := now.Template.Vector("NIC").Get("MAC")
	want := fmt.Sprintf("DISK_ID=0 ETH0_DNS=192.0.2.54 ETH0_GATEWAY=10.0.0.254 ETH0_IP=%s ETH0_MAC=%s NETWORK=YES ONEGATE_ENDPOINT=%s TARGET=hda TOKEN=Yes VMID=%d",
		ip, mac, testEndpoint, v.ID)
	if got := strings.Join(lines, " "); got != want {
		t.Errorf("replaced:\n%s\nwant\n%s", got, want)
	}
	made := w.View().Users.At(owner).Template.Get("TOKEN_PASSWORD")
	if now.Template.Get("CREATED_BY") != itoa(owner) || len(made) != 64 {
		t.Errorf("created by %q, whose password is %q", now.Template.Get("CREATED_BY"), made)
	}
	if err := update(`CONTEXT=[A=b]`, 1); err != nil || w.View().Users.At(owner).Template.Get("TOKEN_PASSWORD") != made {
		t.Errorf("the password was made anew, or %v", err)
	}
	for _, c := range []struct{ text, want string }{
		{`CONTEXT=[ETH0_DNS=x]`, "Unable to update ETH0_DNS, update NIC to update network context"},
		{`CONTEXT=[ETH7_IP=x]`, "Unable to add ETH7_IP, update NIC to update network context"},
		{`CONTEXT=[A="$("]`, "Error parsing: CONTEXT/A. syntax error, unexpected EOA, expecting $end or VARIABLE or RSTRING"},
	} {
		if err := update(c.text, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	if err := w.UpdateVMConf(w.ctx, w.as(owner), 3, parsed("CONTEXT=[A=b]"), 1); err == nil || !strings.Contains(err.Error(), "Virtual machine does not have context, cannot add a new one.") {
		t.Errorf("a VM without context: %v", err)
	}
}

// context.sh as it comes of a template and of networks, to the byte: addresses of
// every kind, what address ranges say before their networks, aliases, a script,
// quotes and line ends. Source: OneGate reference §5.1 and §5.3.
func TestContextScript(t *testing.T) {
	t.Parallel()
	w := contextWorld(t)
	admin := auth.System("test")
	for _, text := range []string{
		`NAME=both VN_MAD=dummy BRIDGE=br1 VLAN_ID=7 GUEST_MTU=9000 METRIC=10 METHOD=static IP6_METHOD=auto IP6_METRIC=20 DNS="192.0.2.53 192.0.2.54"
			SEARCH_DOMAIN=example.org GATEWAY=10.1.0.1 GATEWAY6="fe80::1" NETWORK_ADDRESS=10.1.0.0 NETWORK_MASK=255.255.255.0
			AR=[TYPE=IP4_6, IP=10.1.0.5, SIZE=8, GLOBAL_PREFIX="2001:db8:1::", ULA_PREFIX="fd00:1::", DNS=198.51.100.53]`,
		`NAME=six VN_MAD=dummy BRIDGE=br2 GATEWAY6="2001:db8:2::1" AR=[TYPE=IP6_STATIC, MAC="02:00:00:00:00:05", IP6="2001:db8:2::5", PREFIX_LENGTH=48, SIZE=8]`,
		`NAME=elastic VN_MAD=elastic BRIDGE=br3 EXTERNAL=YES NETWORK_MASK=255.255.255.255 AR=[TYPE=IP4, IP=203.0.113.9, SIZE=8]`,
	} {
		if _, err := w.AllocateVNet(w.ctx, admin, parsed(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	id, err := w.AllocateVM(w.ctx, admin, parsed(`NAME=web CPU=1 MEMORY=64
		NIC=[NETWORK=both, NAME=first] NIC=[NETWORK=six, GATEWAY6="2001:db8:2::2", DNS="2001:db8::53"] NIC_ALIAS=[NETWORK=both, PARENT=first]
		NIC_ALIAS=[NETWORK=elastic, PARENT=first, EXTERNAL=YES]
		CONTEXT=[NETWORK=YES, TOKEN=YES, REPORT_READY=YES, SET_HOSTNAME="$NAME", USERNAME="ana", PASSWORD="it's", ETH1_IP6="mine", ETH0_OWN="kept",
			SSH_PUBLIC_KEY="ssh-ed25519 AAAA one
ssh-rsa BBBB two", START_SCRIPT="echo \"hi\" \$UNAME
exit", START_SCRIPT_BASE64="ZXhpdAo="]`), true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := contextdisk.Script(w.context(w.vm(id)))
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/context.sh", string(got))
}

// A NIC whose network the scheduler chooses has its variables once it has.
func TestContextOfAutoNIC(t *testing.T) {
	t.Parallel()
	w := contextWorld(t)
	v := w.create(`NAME=web NIC=[NETWORK_MODE=auto] CONTEXT=[NETWORK=YES]`)
	if got := w.context(v); got.Has("ETH0_IP") {
		t.Errorf("before: %v", got)
	}
	if err := w.DeployVM(w.ctx, auth.System("test"), v.ID, 0, false, -1, parsed("NIC=[NIC_ID=0, NETWORK_ID=0]")); err != nil {
		t.Fatal(err)
	}
	n := w.vm(v.ID)
	if got := w.context(n).Get("ETH0_IP"); got == "" || got != n.Template.Vector("NIC").Get("IP") {
		t.Errorf("after: ETH0_IP is %q, of %v", got, n.Template.Vector("NIC"))
	}
}
