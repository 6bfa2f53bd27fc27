package cloud

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Users of the world: owner, member and chief are in group 1 "users", of which
// chief is an administrator; stranger and ruled are in groups of their own that no
// VDC knows; deputy is in group 0, but not in the first place.
const (
	owner = iota + 2
	member
	stranger
	ruled
	chief
	deputy
)

// Groups of the world.
const (
	strangers = one.FirstCustomID + iota
	ruledOnes
	nobodys
)

var worldTime = time.Unix(1_700_000_000, 0)

// world is a fresh installation with an object of every kind that belongs to owner,
// with permissions 640, and some that belong to nobody.
type world struct {
	*Cloud
	t     testing.TB
	ctx   context.Context
	store *storetest.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	authn, err := auth.New(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.EncryptionKey = "0123456789abcdef0123456789abcdef"
	w := &world{t: t, ctx: t.Context(), store: storetest.New(t)}
	w.Cloud = New(Options{
		Store: w.store.Store, Auth: authn, Config: cfg, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return worldTime },
	})
	w.do(func(tx *store.Tx) {
		// As Bootstrap does, but for the hash of a password, which takes its time.
		if err := w.bootstrapUsers(tx, "", "secret"); err != nil {
			t.Fatal(err)
		}
		w.bootstrapResources(tx, Bootstrap{ZoneName: "OpenNebula", SafeDirs: "/var/tmp", Driver: "dummy"})
		for _, r := range defaultRules(w.Zone()) {
			w.addRule(tx, r)
		}
		w.putPeople(tx)
		w.putHosts(tx)
		w.putNets(tx)
		w.putStorage(tx)
		w.putVMs(tx)
	})
	return w
}

// do runs a transaction that cannot fail.
func (w *world) do(f func(tx *store.Tx)) {
	w.t.Helper()
	w.store.Do(f)
}

// try runs f in a transaction, as services do with what they call.
func (w *world) try(f func(tx *store.Tx) error) error { return w.store.Update(w.ctx, f) }

// as returns a user as it is after logging in.
func (w *world) as(uid int) auth.Caller {
	w.t.Helper()
	u, ok := w.View().Users.Get(uid)
	if !ok {
		w.t.Fatalf("no user %d", uid)
	}
	return auth.CallerOf(w.View(), u)
}

// parsed returns the template of a text that is right.
func parsed(text string) *tmpl.Template {
	t, err := tmpl.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	return t
}

// ownersMeta is the header of what belongs to owner.
func ownersMeta(id int, name string) one.Meta {
	return one.Meta{ID: id, UID: owner, GID: one.UsersGroupID, UName: "owner", GName: "users", Name: name, Perms: 0o640}
}

func (w *world) putPeople(tx *store.Tx) {
	for id, name := range map[int]string{strangers: "strangers", ruledOnes: "ruled", nobodys: "nobodys"} {
		tx.PutGroup(&one.Group{ID: id, Name: name})
	}
	g, _ := tx.Groups.Get(one.UsersGroupID)
	users := *g
	users.Admins = []int{chief}
	tx.PutGroup(&users)
	for _, r := range groupAdminRules(one.UsersGroupID, chief) {
		w.addRule(tx, r)
	}
	for _, u := range []one.User{
		{ID: owner, Name: "owner", Groups: []int{1}, Tokens: []one.LoginToken{{Token: "t0", Expires: -1, EGID: -1}}},
		{ID: member, Name: "member", Groups: []int{1}},
		{ID: stranger, Name: "stranger", Groups: []int{strangers}},
		{ID: ruled, Name: "ruled", Groups: []int{ruledOnes}},
		{ID: chief, Name: "chief", Groups: []int{1}},
		{ID: deputy, Name: "deputy", Groups: []int{0, 1}},
	} {
		u.AuthDriver, u.GID = "core", u.Groups[len(u.Groups)-1]
		g, _ := tx.Groups.Get(u.GID)
		u.GName = g.Name
		u.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", "0123"))
		tx.PutUser(&u)
	}
	setCounter(tx, "user", deputy+1)
	setCounter(tx, "group", nobodys+1)
}

// Hosts 0 and 1, the second without VMs, cluster 100 and VDC 100, both empty.
func (w *world) putHosts(tx *store.Tx) {
	tx.PutCluster(&one.Cluster{ID: 100, Name: "edge"})
	tx.PutVDC(&one.VDC{ID: 100, Name: "empty"})
	for id := range 2 {
		tx.PutHost(&one.Host{
			ID: id, Name: "host" + strconv.Itoa(id), State: one.HostMonitored, IMMad: "dummy", VMMad: "dummy",
			TotalCPU: 800, TotalMem: 16 << 20, MaxCPU: 800, MaxMem: 16 << 20,
		})
	}
	setCounter(tx, "cluster", 101)
	setCounter(tx, "vdc", 101)
	setCounter(tx, "host", 2)
}

// Network 0 has 16 addresses, of which 7 is held by hand and 8 and 9 are reserved
// by network 1; network 2 has no leases and just the default security group.
// Security group 100 is that of network 0, 101 nobody uses. Router 1 has a NIC.
func (w *world) putNets(tx *store.Tx) {
	for id := 100; id <= 101; id++ {
		tx.PutSecGroup(&one.SecurityGroup{
			Meta: ownersMeta(id, "group"+strconv.Itoa(id)), Template: parsed(`RULE=[PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="22"]`),
		})
	}
	net := func(id int, name, first, groups string, size uint32) *one.VNet {
		ip := netip.MustParseAddr(first)
		return &one.VNet{
			Meta: ownersMeta(id, name), ClusterIDs: []int{0}, Bridge: "br0", BridgeType: "linux", State: one.VNetReady, ParentID: -1, VNMad: "dummy",
			Template: parsed(`SECURITY_GROUPS="` + groups + `" BRIDGE=br0 BRIDGE_TYPE=linux VN_MAD=dummy`), NextAR: 1,
			ARs: []one.AR{{Type: one.ARIP4, Size: size, MAC: one.MACOf(0x0200, ip), IP: ip, ParentAR: -1}},
		}
	}
	tx.PutVNet(net(0, "net", "10.0.0.1", "0,100", 16))
	reserved := net(1, "reserved", "10.0.0.9", "0,100", 2)
	reserved.ParentID, reserved.ARs[0].ParentAR, reserved.ARs[0].ParentIndex = 0, 0, 8
	tx.PutVNet(reserved)
	tx.PutVNet(net(2, "idle", "10.1.0.1", "0", 4))
	// A template of networks in clusters 0 and 100.
	tx.PutVNTemplate(&one.VNTemplate{Meta: ownersMeta(0, "nets"), Template: parsed(`VN_MAD=bridge CLUSTER_IDS="100,0,999" DNS=10.0.0.1`)})
	setCounter(tx, "vntemplate", 1)
	putLease(tx, 0, 0, 7, leaseOwner{one.LeaseHeld, -1})
	tx.PutVRouter(&one.VRouter{Meta: ownersMeta(0, "router"), Template: parsed("A=b")})
	tx.PutVRouter(&one.VRouter{Meta: ownersMeta(1, "wired"), Template: parsed("NIC=[NETWORK_ID=2,NIC_ID=0]")})
	setCounter(tx, "secgroup", 102)
	setCounter(tx, "vnet", 3)
	setCounter(tx, "vrouter", 2)
}

// Datastores 100 (images) and 101 (system), both empty; images 0 (ready), 1 (being
// copied) and 2 (a kernel); template 0 is plain, 1 has image 0 and network 0, 2
// is for routers; document 0 is the service that VM 6 belongs to, 1 a service template.
func (w *world) putStorage(tx *store.Tx) {
	for id, typ := range map[int]one.DatastoreType{100: one.DSImage, 101: one.DSSystem} {
		text := "TM_MAD=dummy TYPE=" + typ.String()
		d := &one.Datastore{Meta: ownersMeta(id, "ds"+strconv.Itoa(id)), TMMad: "dummy", Type: typ, ClusterIDs: []int{0}}
		if typ == one.DSImage {
			d.DSMad, text = "dummy", text+" DS_MAD=dummy"
		}
		d.Template = withTransferDefaults(parsed(text), "dummy")
		tx.PutDatastore(d)
	}
	image := func(id int, name string, typ one.ImageType, state one.ImageState, ds int) {
		tx.PutImage(&one.Image{
			Meta: ownersMeta(id, name), Type: typ, State: state, Format: "raw", Source: "/ds/" + name, Size: 10, CloningID: -1, TargetSnapshot: -1,
			DatastoreID: ds, Datastore: tx.Datastores.At(ds).Name, Template: parsed("DEV_PREFIX=sd"),
		})
	}
	image(0, "disk", one.ImageOS, one.ImageReady, one.DefaultDS)
	image(1, "copying", one.ImageOS, one.ImageLocked, one.DefaultDS)
	image(2, "kernel", one.ImageKernel, one.ImageReady, one.FilesDS)
	const plain = "CPU=1 MEMORY=64 "
	tx.PutTemplate(&one.VMTemplate{Meta: ownersMeta(0, "plain"), Template: parsed(plain)})
	tx.PutTemplate(&one.VMTemplate{Meta: ownersMeta(1, "full"), Template: parsed(plain + "DISK=[IMAGE_ID=0] NIC=[NETWORK_ID=0]")})
	tx.PutTemplate(&one.VMTemplate{Meta: ownersMeta(2, "appliance"), Template: parsed(plain + "VROUTER=YES")})
	tx.PutDocument(&one.Document{Meta: ownersMeta(0, "service"), Type: one.DocService})
	tx.PutDocument(&one.Document{Meta: ownersMeta(1, "service template"), Type: one.DocServiceTemplate, Template: parsed("A=b")})
	for counter, next := range map[string]int{"datastore": 102, "image": 3, "template": 3, "document": 2} {
		setCounter(tx, counter, next)
	}
}

// VMs that are pending (0), running (1) and off with a NIC (2) on host 0, on hold (3), failed to
// boot (4), done (5), of the service (6), and booting (7).
func (w *world) putVMs(tx *store.Tx) {
	for id, s := range []struct {
		state  one.VMState
		lcm    one.LCMState
		placed bool
	}{
		{one.VMPending, 0, false}, {one.VMActive, one.LCMRunning, true}, {one.VMPoweroff, 0, true}, {one.VMHold, 0, false},
		{one.VMActive, one.LCMBootFailure, true}, {one.VMDone, 0, false}, {one.VMPending, 0, false},
		{one.VMActive, one.LCMBoot, true},
	} {
		v := &one.VM{VMCore: one.VMCore{
			Meta: ownersMeta(id, "vm"+strconv.Itoa(id)), State: s.state, LCM: s.lcm, STime: 1, ServiceID: -1, VRouterID: -1,
			Template: parsed("CPU=1 MEMORY=64"),
		}, UserTemplate: parsed("COLOR=red")}
		if s.placed {
			v = v.WithNewRecord(one.History{Hostname: "host0", HID: 0, CID: 0, DSID: 0, VMMad: "dummy", TMMad: "dummy", STime: 2})
		}
		switch id {
		case 2:
			v.Template = v.Template.Add(tmpl.Vec("NIC", "NIC_ID", "0"), tmpl.Vec("DISK", "DISK_ID", "0", "TYPE", "SWAP", "SIZE", "1"),
				tmpl.Vec("DISK", "DISK_ID", "1", "IMAGE_ID", "999", "FORMAT", "qcow2", "SIZE", "10"))
			d, _ := one.NewDiskSnapshots("NO").Taken("clean", 10, 3)
			v.Snapshots = one.WithDiskSnapshots(nil, 1, d)
		case 1:
			v.Template = v.Template.Add(tmpl.Vec("SNAPSHOT", "SNAPSHOT_ID", "0", "NAME", "first"))
		case 6:
			v.ServiceID = 0
		}
		tx.PutVM(v)
	}
	setCounter(tx, "vm", 8)
	// VM 3 is to be released in a day.
	a := newSchedAction
	a.ID, a.Action, a.Time, a.First = 0, "release", worldTime.Unix()+86400, worldTime.Unix()+86400
	tx.PutSchedule(&one.Schedule{VM: 3, Actions: []one.SchedAction{a}})
	setCounter(tx, "schedaction", 1)
}

// grant gives a user the rights of rules written as "USE+MANAGE VM/#0".
func (w *world) grant(uid int, rules ...string) {
	w.t.Helper()
	w.do(func(tx *store.Tx) {
		for _, text := range rules {
			r, err := parseRule(text)
			if err != nil {
				w.t.Fatalf("rule %q: %v", text, err)
			}
			r.User = one.ACLIndividual | uint64(uid)
			w.addRule(tx, r)
		}
	})
}

// parseRule reads rights and resource of a rule of the local zone.
func parseRule(text string) (one.ACLRule, error) {
	r := one.ACLRule{Zone: one.ACLIndividual}
	rights, resource, _ := strings.Cut(text, " ")
	kind, selector, _ := strings.Cut(resource, "/")
	for _, right := range []one.Right{one.Use, one.Manage, one.Admin, one.Create} {
		for _, word := range strings.Split(rights, "+") {
			if word == right.String() {
				r.Rights |= uint64(right)
			}
		}
	}
	for k := one.KindVM; k <= one.KindBackupJob; k++ {
		if k.String() == kind {
			r.Resource = k.ACLType()
		}
	}
	switch id, err := strconv.Atoi(strings.TrimLeft(selector, "#@")); {
	case selector == "*":
		r.Resource |= one.ACLAll
	case err != nil:
		return r, fmt.Errorf("no selector %q", selector)
	case selector[0] == '@':
		r.Resource |= one.ACLGroup | uint64(id)
	default:
		r.Resource |= one.ACLIndividual | uint64(id)
	}
	if r.Rights == 0 || r.Resource < one.KindVM.ACLType() {
		return r, fmt.Errorf("unknown right or resource")
	}
	return r, nil
}
