package sched

import (
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// A placing is a VM, what is special about the site, and where the VM goes: host and
// datastore, then the network of each NIC left to the scheduler; or why it goes nowhere.
type placing struct {
	name    string
	changes []func(tx *store.Tx)
	text    string // of the VM's template
	user    string // of its user template
	want    string
}

type changes = []func(tx *store.Tx)

// tryPlacings makes the pass for every row in a site of its own: VM 10 waits.
func tryPlacings(t *testing.T, rows []placing, prepare func(s *site)) {
	t.Helper()
	for _, p := range rows {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, slices.Concat(p.changes, changes{pending(10, p.text, p.user)})...)
			if prepare != nil {
				prepare(s)
			}
			s.settle(newRound())
			got := s.where(10)
			v, _ := s.store.View().VM(10)
			for _, nic := range v.Template.Vectors("NIC") {
				if nic.Get("NETWORK_MODE") == "auto" && nic.Has("NETWORK_ID") {
					got += " " + nic.Get("NETWORK_ID")
				}
			}
			want := p.want
			if want[0] > '9' {
				want = stamp + want
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Sources of all: VM lifecycle reference §8.2 to §8.5.

func TestHosts(t *testing.T) {
	t.Parallel()
	disabled := func(id int) func(*store.Tx) { return host(id, func(h *one.Host) { h.State = one.HostDisabled }) }
	const meets = "Cannot dispatch VM: No host meets capacity and SCHED_REQUIREMENTS: "
	tryPlacings(t, []placing{
		{"no wishes, all alike", nil, "", "", "0/0"},
		{"no wishes, spread", changes{running(1, 0, "", "")}, "", "", "1/0"},
		{"by name", nil, "", `SCHED_REQUIREMENTS="NAME = \"host1\""`, "1/0"},
		{"by the old attribute", nil, "", `REQUIREMENTS="NAME = host1"`, "1/0"},
		{"the new attribute counts", nil, "", `SCHED_REQUIREMENTS="ID = 2" REQUIREMENTS="NAME = host1"`, "2/102"},
		{"by glob", nil, "", `SCHED_REQUIREMENTS="NAME = \"*[2-9]\""`, "2/102"},
		{"by number", nil, "", `SCHED_REQUIREMENTS="ID > 0"`, "1/0"},
		{"by what the host reports", changes{host(1, func(h *one.Host) { h.Template = parsed("ARCH=arm64") })}, "", `SCHED_REQUIREMENTS="ARCH = arm64"`, "1/0"},
		{"by what a vector says", changes{host(2, func(h *one.Host) { h.Template = parsed("GPU=[TYPE=big]") })}, "", `SCHED_REQUIREMENTS="\"GPU/TYPE\" = big"`, "2/102"},
		{"by cluster", nil, "", `SCHED_REQUIREMENTS="CLUSTER = edge"`, "2/102"},
		{"by what the cluster says", nil, "", `SCHED_REQUIREMENTS="SITE = far"`, "2/102"},
		{"a missing attribute is no other", nil, "", `SCHED_REQUIREMENTS="SITE != near"`, "2/102"},
		{"absent or other", nil, "", `SCHED_REQUIREMENTS="!(SITE = far)"`, "0/0"},
		{"operators bind alike", nil, "", `SCHED_REQUIREMENTS="ID = 0 | ID = 2 & CLUSTER_ID = 100"`, "2/102"},
		{"with a VM", changes{running(1, 0, "", "")}, "", `SCHED_REQUIREMENTS="CURRENT_VMS = 1"`, "0/0"},
		{"apart from a VM", changes{running(1, 0, "", "")}, "", `SCHED_REQUIREMENTS="CURRENT_VMS != 1"`, "1/0"},
		{"where there is load", changes{running(1, 1, "", "")}, "", `SCHED_REQUIREMENTS="RUNNING_VMS > 0"`, "1/0"},
		{"in the clusters of its parts", nil, `AUTOMATIC_REQUIREMENTS="(CLUSTER_ID = 100) & !(PUBLIC_CLOUD = YES)"`, "", "2/102"},
		{"wishes do not lead out of them", nil, `AUTOMATIC_REQUIREMENTS="(CLUSTER_ID = 0)"`, `SCHED_REQUIREMENTS="ID = 1 | ID = 2" SCHED_RANK=ID`, "1/0"},
		{"what none meets", nil, `AUTOMATIC_REQUIREMENTS="(CLUSTER_ID = 0)"`, `SCHED_REQUIREMENTS="ID = 2"`, meets + "(CLUSTER_ID = 0) & ( ID = 2 )"},
		{"what none meets, alone", nil, "", `SCHED_REQUIREMENTS="ID = 9"`, meets + "ID = 9"},
		{"what cannot be read", nil, "", `SCHED_REQUIREMENTS="ID = "`, "Error in SCHED_REQUIREMENTS: 'ID = ', error: syntax error, unexpected end of file, expecting INTEGER or STRING or FLOAT at line 1, columns 5:6"},
		{"the first has too few CPUs", changes{host(0, func(h *one.Host) { h.MaxCPU = 99 })}, "", "", "1/0"},
		{"the first has too little memory", changes{host(0, func(h *one.Host) { h.MaxMem = 1<<20 - 1 })}, "", "", "1/0"},
		{"just enough", changes{host(1, func(h *one.Host) { h.MaxCPU, h.MaxMem = 100, 1<<20 })}, "", `SCHED_REQUIREMENTS="ID = 1"`, "1/0"},
		{"what runs there counts", changes{running(1, 0, "CPU=3.5", ""), running(2, 1, "MEMORY=8000", "")}, "", "", "2/102"},
		{"more than any has", nil, "CPU=4.01", "", "Cannot dispatch VM: No host with enough capacity to deploy the VM"},
		{"more memory than any has", nil, "MEMORY=8193", "", "Cannot dispatch VM: No host with enough capacity to deploy the VM"},
		{"room only where it may not be", changes{running(1, 0, "CPU=4", "")}, "", `SCHED_REQUIREMENTS="ID = 0"`, meets + "ID = 0"},
		{"one is disabled", changes{disabled(0)}, "", "", "1/0"},
		{"others are in error, new, offline", changes{
			host(0, func(h *one.Host) { h.State = one.HostError }), host(1, func(h *one.Host) { h.State = one.HostInit }),
		}, "", "", "2/102"},
		{"all are disabled", changes{disabled(0), disabled(1), host(2, func(h *one.Host) { h.State = one.HostOffline })}, "", "", "Cannot dispatch VM: No hosts enabled to run VMs"},
	}, nil)
}

func TestRanks(t *testing.T) {
	t.Parallel()
	busy := changes{running(1, 0, "CPU=2", ""), running(2, 1, "MEMORY=4096", "")}
	tryPlacings(t, []placing{
		{"packing", busy[:1], "", "SCHED_RANK=RUNNING_VMS", "0/0"},
		{"most CPU free", busy, "", "SCHED_RANK=FREE_CPU", "2/102"},
		{"least CPU free", busy, "", `SCHED_RANK="- FREE_CPU"`, "0/0"},
		{"least memory free", busy, "", `SCHED_RANK="0 - FREE_MEMORY"`, "1/0"},
		{"a sum", busy, "", `SCHED_RANK="2 * ID - ID * ID"`, "1/0"},
		{"by the old attribute", nil, "", "RANK=ID", "2/102"},
		{"the new attribute counts", nil, "", `SCHED_RANK="- ID" RANK=ID`, "0/0"},
		{"what nobody reports", nil, "", "SCHED_RANK=BEAUTY", "0/0"},
		{"what one reports", changes{host(1, func(h *one.Host) { h.Template = parsed("PRIORITY=5") })}, "", "SCHED_RANK=PRIORITY", "1/0"},
		{"fractions are cut off", nil, "", `SCHED_RANK="ID / 3"`, "0/0"},
		{"what cannot be read ranks all alike", nil, "", `SCHED_RANK="(("`, "0/0"},
		{"the best without room", changes{running(1, 2, "CPU=4", "")}, "", "SCHED_RANK=ID", "1/0"},
		{"the best without a datastore", changes{datastore(102, func(d *one.Datastore) { d.Disabled = true })}, "", "SCHED_RANK=ID", "1/0"},
	}, nil)
}

func TestDatastores(t *testing.T) {
	t.Parallel()
	off := func(id int) func(*store.Tx) { return datastore(id, func(d *one.Datastore) { d.Disabled = true }) }
	limited := datastore(0, func(d *one.Datastore) { d.Template = d.Template.With("LIMIT_MB", "100") })
	careless := datastore(0, func(d *one.Datastore) { d.Template = d.Template.With("DATASTORE_CAPACITY_CHECK", "NO") })
	own := func(id int) func(*store.Tx) {
		return datastore(id, func(d *one.Datastore) { d.Template = parsed("SHARED=NO") })
	}
	known := func(m spaces) func(*site) {
		return func(s *site) {
			for k, v := range m {
				s.space[k] = v
			}
		}
	}
	const disk, here = `DISK=[TYPE=fs, SIZE=500]`, `SCHED_REQUIREMENTS="CLUSTER_ID = 0" `
	tryPlacings(t, []placing{
		{"as asked for", nil, "", here + `SCHED_DS_REQUIREMENTS="ID = 101"`, "0/101"},
		{"by name", nil, "", here + `SCHED_DS_REQUIREMENTS="NAME = ds101"`, "0/101"},
		{"in the clusters of its parts", nil, `AUTOMATIC_DS_REQUIREMENTS="(\"CLUSTERS/ID\" @> 100)"`, "", "2/102"},
		{"ranked", nil, "", "SCHED_DS_RANK=ID", "0/101"},
		{"one is off", changes{off(0)}, "", "", "0/101"},
		{"a cluster without any", changes{off(0), off(101)}, "", "", "2/102"},
		{"none at all", changes{off(0), off(101), off(102)}, "", "", "Cannot dispatch VM: No system datastores found to run VMs"},
		{"what none meets", nil, "", here + `SCHED_DS_REQUIREMENTS="ID = 9"`, "Cannot dispatch VM: No system datastore meets capacity and SCHED_DS_REQUIREMENTS: ID = 9"},
		{"what cannot be read", nil, "", `SCHED_DS_REQUIREMENTS="&"`, "Error in SCHED_DS_REQUIREMENTS: '&', error: syntax error, unexpected '&', expecting end of file at line 1, columns 1:2"},
	}, nil)
	tryPlacings(t, []placing{
		{"the one with more space", nil, disk, here, "0/101"},
		{"the one with room", nil, disk, here + `SCHED_DS_RANK="- FREE_MB"`, "0/101"},
		{"less than asked for matters not without a disk", nil, "", here + `SCHED_DS_RANK="- FREE_MB"`, "0/0"},
		{"no room in the cluster", nil, "DISK=[TYPE=fs, SIZE=1000]", "", "2/102"},
		{"no room anywhere", nil, "DISK=[TYPE=fs, SIZE=5001]", "", "Cannot dispatch VM: No system datastore with enough capacity for the VM"},
		{"beyond its limit", changes{limited, off(101)}, "DISK=[TYPE=fs, SIZE=91]", here, "Cannot dispatch VM: No system datastore with enough capacity for the VM"},
		{"within its limit", changes{limited, off(101)}, "DISK=[TYPE=fs, SIZE=90]", here, "0/0"},
		{"nobody looks", changes{careless, off(101)}, disk, here, "0/0"},
	}, known(spaces{{0, -1}: {1000, 10, 400}, {101, -1}: {1000, 100, 900}, {102, -1}: {9000, 4000, 5000}}))
	tryPlacings(t, []placing{
		{"where the host has room itself", changes{own(0), off(101)}, disk, here, "1/0"},
		{"where no host has", changes{own(0), off(101)}, "DISK=[TYPE=fs, SIZE=901]", here, "Cannot dispatch VM: No system datastore with enough capacity for the VM"},
	}, known(spaces{{0, 0}: {1000, 600, 400}, {0, 1}: {1000, 100, 900}}))
}

func TestPlacingRights(t *testing.T) {
	t.Parallel()
	var none changes
	for _, k := range []one.Kind{one.KindHost, one.KindDatastore, one.KindNet} {
		none = append(none, func(tx *store.Tx) { tx.DeleteACL(int(k)) })
	}
	noHost, noData, noNet := none[0], none[1], none[2]
	just := func(kind one.Kind, id int) func(*store.Tx) {
		return func(tx *store.Tx) {
			rule(tx, 50, one.ACLIndividual|ana, kind.ACLType()|one.ACLIndividual|uint64(id))
		}
	}
	of := func(uid, gid int) func(s *site) {
		return func(s *site) {
			s.do(func(tx *store.Tx) {
				v := *tx.VMs.At(10)
				v.UID, v.GID = uid, gid
				tx.PutVM(&v)
			})
		}
	}
	const auto = "NIC=[NIC_ID=0, NETWORK_MODE=auto]"
	tryPlacings(t, []placing{
		{"no host", changes{noHost}, "", "", "Cannot dispatch VM: User is not authorized to use any host"},
		{"one host", changes{noHost, just(one.KindHost, 1)}, "", "", "1/0"},
		{"to use a host is not enough", changes{noHost, func(tx *store.Tx) {
			tx.PutACL(&one.ACLRule{ID: 50, User: one.ACLAll, Resource: one.KindHost.ACLType() | one.ACLAll, Rights: uint64(one.Use), Zone: one.ACLAll})
		}}, "", "", "Cannot dispatch VM: User is not authorized to use any host"},
		{"a cluster's hosts", changes{noHost, func(tx *store.Tx) {
			rule(tx, 50, one.ACLGroup|1, one.KindHost.ACLType()|one.ACLCluster|100)
		}}, "", "", "2/102"},
		{"no datastore", changes{noData}, "", "", "Cannot dispatch VM: User is not authorized to use any system datastore"},
		{"one datastore", changes{noData, just(one.KindDatastore, 102)}, "", "", "2/102"},
		{"no network", changes{noNet}, auto, "", "Cannot dispatch VM: User is not authorized to use any network"},
		{"one network", changes{noNet, just(one.KindNet, 1)}, auto, "", "0/0 1"},
	}, nil)
	tryPlacings(t, []placing{{"oneadmin's", none, auto, "", "0/0 0"}}, of(0, 1))
	tryPlacings(t, []placing{{"of group oneadmin", none, auto, "", "0/0 0"}}, of(ana, 0))
	tryPlacings(t, []placing{{"of who is gone", nil, "", "", "Cannot dispatch VM: User is not authorized to use any host"}}, of(77, 1))
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	const auto, two = "NIC=[NIC_ID=0, NETWORK_MODE=auto]", "NIC=[NIC_ID=0, NETWORK_MODE=auto] NIC=[NIC_ID=1, NETWORK_MODE=auto]"
	asks := func(what string) string { return `NIC=[NIC_ID=0, NETWORK_MODE=auto, ` + what + `]` }
	taken := func(net int, n uint32) func(*store.Tx) {
		return func(tx *store.Tx) {
			for i := range n {
				tx.PutLease(&one.Lease{Net: net, Index: i, Owner: one.LeaseHeld, OwnerID: -1})
			}
		}
	}
	gone := func(net int) func(*store.Tx) { return func(tx *store.Tx) { tx.DeleteVNet(net) } }
	const meet = "Cannot dispatch VM: No network meet leases and SCHED_NIC_REQUIREMENTS: "
	tryPlacings(t, []placing{
		{"any", nil, auto, "", "0/0 0"},
		{"the emptier", changes{taken(0, 1)}, auto, "", "0/0 1"},
		{"by wish", nil, asks(`SCHED_REQUIREMENTS="NAME = net1"`), "", "0/0 1"},
		{"by a wish that needs another host", nil, asks(`SCHED_REQUIREMENTS="ID = 2"`), "", "2/102 2"},
		{"by rank", changes{taken(1, 1)}, asks(`SCHED_RANK=USED_LEASES`), "", "0/0 1"},
		{"in the clusters of its parts", nil, auto + ` AUTOMATIC_NIC_REQUIREMENTS="(\"CLUSTERS/ID\" @> 100)"`, "", "2/102 2"},
		{"each on its own", nil, two, "", "0/0 0 1"},
		{"more than there are", nil, two, `SCHED_REQUIREMENTS="ID = 2"`, "Cannot dispatch VM: No networks found to run VMs"},
		{"full ones", changes{taken(0, 4), taken(1, 4)}, auto, "", "2/102 2"},
		{"all full", changes{taken(0, 4), taken(1, 4), taken(2, 4)}, auto, "", "Cannot dispatch VM: No network with enough capacity for the VM"},
		{"none", changes{gone(0), gone(1), gone(2)}, auto, "", "Cannot dispatch VM: No networks found to run VMs"},
		{"what none meets", nil, asks(`SCHED_REQUIREMENTS="ID = 9"`), "", meet + "ID = 9"},
		{"what cannot be read", nil, asks(`SCHED_REQUIREMENTS="ID"`), "", "Error in SCHED_NIC_REQUIREMENTS: 'ID', error: syntax error, unexpected end of file at line 1, columns 1:3"},
		{"one that does not work", changes{network(0, func(n *one.VNet) { n.State = one.VNetError })}, auto, "", "0/0 1"},
		{"one that is chosen already", nil, `NIC=[NIC_ID=0, NETWORK_MODE=auto, NETWORK_ID=2]`, "", "0/0 2"},
	}, nil)
}
