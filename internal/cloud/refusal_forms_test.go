package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestRefusedForms: descriptions of things that cannot be. Sources: resources reference
// §3.2, §4 and §6, XML-RPC reference §7.8 and §7.11.
func TestRefusedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type form struct{ text, want string }
	try := func(kind errs.Kind, prefix string, call func(w *world, who auth.Caller, text string) error, forms ...form) {
		t.Helper()
		for _, f := range forms {
			w.refuse(refusal{f.text, 0, func(w *world, who auth.Caller) error { return call(w, who, f.text) }, kind, prefix + f.want})
		}
	}
	try(errs.Internal, "", func(w *world, who auth.Caller, text string) error {
		return second(w.AllocateDatastore(w.ctx, who, parsed("NAME=new "+text), -1))
	},
		form{"TYPE=TAPE_DS TM_MAD=dummy", "Unknown datastore type: TAPE_DS; expected IMAGE_DS, SYSTEM_DS, FILE_DS or BACKUP_DS"},
		form{"DS_MAD=dummy", "No TM_MAD in template."}, form{"TM_MAD=dummy", "No DS_MAD in template."},
		form{"TYPE=SYSTEM_DS TM_MAD=dummy DS_MAD=dummy", "SYSTEM datastores cannot have DS_MAD defined."},
		form{"TM_MAD=pigeon DS_MAD=dummy", `TM_MAD named "pigeon" is not defined in oned.conf`},
		form{"TM_MAD=dummy DS_MAD=dummy DISK_TYPE=TAPE", "Unknown disk type: TAPE"},
	)
	const typed = "Cannot update template. The TYPE of datastore "
	w.refuse(
		refusal{"the type of datastore 0", 0, updateDatastore(0, "TYPE=IMAGE_DS DS_MAD=dummy"), errs.Internal, typed + "0 cannot be changed from SYSTEM_DS to IMAGE_DS"},
		refusal{"the type of one with images", 0, updateDatastore(1, "TYPE=FILE_DS"), errs.Internal, typed + "1 cannot be changed from IMAGE_DS to FILE_DS"},
		refusal{"a type there is not", 0, updateDatastore(100, "TYPE=x"), errs.Internal, "Unknown datastore type: x; expected IMAGE_DS, SYSTEM_DS, FILE_DS or BACKUP_DS"},
		refusal{"disabling what holds images", 0, func(w *world, who auth.Caller) error { return w.EnableDatastore(w.ctx, who, 100, false) }, errs.Internal, "Only SYSTEM_DS can be disabled or enabled"},
	)
	image := func(w *world, who auth.Caller, text string) error {
		return second(w.AllocateImage(w.ctx, who, parsed("NAME=new "+text), 1, true))
	}
	try(errs.Allocate, "Error allocating a new image. ", image,
		form{"PATH=/var/tmp/x SOURCE=/var/tmp/x FORMAT=raw", "PATH and SOURCE cannot be both set."},
		form{"SOURCE=/var/tmp/x SIZE=1", "SOURCE needs FORMAT to be set."}, form{"TYPE=CDROM SIZE=1", "No PATH nor SOURCE in template."},
		form{"TYPE=TAPE SIZE=1", "Unknown type TAPE in template: expected OS, CDROM, DATABLOCK, KERNEL, RAMDISK or CONTEXT"},
		form{"TYPE=KERNEL PATH=/var/tmp/x", "KERNEL images can only be allocated in a FILE_DS datastore."},
	)
	try(errs.Internal, "Cannot parse image SIZE: ", image,
		form{"TYPE=OS", "an image without PATH needs SIZE in MB"}, form{"SIZE=0", "0"}, form{"SIZE=big", "big"}, form{`SIZE="-5"`, "-5"},
		form{"SIZE=99999999999999", "99999999999999"}, form{"SOURCE=/x FORMAT=raw", "SOURCE needs SIZE in MB"},
	)
	w.refuse(refusal{"an image in a system datastore", 0, func(w *world, who auth.Caller) error {
		return second(w.AllocateImage(w.ctx, who, parsed("NAME=new SIZE=1"), 0, true))
	}, errs.Action, "New images can only be allocated in a files or image datastore."})

	try(errs.Internal, "", func(w *world, who auth.Caller, text string) error {
		return second(w.AllocateVNet(w.ctx, who, parsed("NAME=new "+text), -1))
	},
		form{"A=b", "No VN_MAD in template for Virtual Network."}, form{"VN_MAD=tin", `VN_MAD named "tin" is not defined in oned.conf`},
		form{"VN_MAD=dummy", "BRIDGE is mandatory for driver dummy"}, form{"VN_MAD=802.1Q VLAN_ID=2", "PHYDEV is mandatory for driver 802.1Q"},
		form{"VN_MAD=vxlan PHYDEV=eth0", "VLAN_ID (or AUTOMATIC_VLAN_ID) is mandatory for driver vxlan"},
		form{"VN_MAD=ovswitch_vxlan PHYDEV=eth0", "OUTER_VLAN_ID (or AUTOMATIC) is mandatory for driver ovswitch_vxlan"},
		form{"VN_MAD=bridge AR=[TYPE=IP4, IP=10.3.0.1, SIZE=1] AR=[TYPE=IP4, SIZE=1]", `Wrong format for IP attribute: ""`},
	)
	try(errs.Internal, "", func(w *world, who auth.Caller, text string) error {
		return w.AddAR(w.ctx, who, 0, parsed("AR=[TYPE=ETHER, SIZE=4] AR=["+text+"]"))
	},
		form{"TYPE=IP5, SIZE=1", `Unknown type "IP5" for an Address Range: expected IP4, IP6, IP4_6, IP6_STATIC, IP4_6_STATIC or ETHER`},
		form{"TYPE=ETHER, SIZE=0", "Wrong SIZE (0) for address range"}, form{"TYPE=ETHER, SIZE=many", "Wrong SIZE (many) for address range"},
		form{"TYPE=ETHER, SIZE=16777217", "Wrong SIZE (16777217) for address range: at most 16777216 addresses"},
		form{`TYPE=IP4, IP="fd00::1", SIZE=1`, `Wrong format for IP attribute: "fd00::1"`},
		form{`TYPE=IP6_STATIC, IP6="10.0.0.1", PREFIX_LENGTH=64, SIZE=1`, `Wrong format for IP6 attribute: "10.0.0.1"`},
		form{`TYPE=IP6_STATIC, IP6="fd00::1", PREFIX_LENGTH=129, SIZE=1`, `Wrong PREFIX_LENGTH for IP6 address range: "129"`},
		form{`TYPE=IP6, ULA_PREFIX="fe80", SIZE=1`, `Wrong format for IP6 prefix ULA_PREFIX: "fe80"`},
		form{`TYPE=ETHER, MAC="02:00", SIZE=1`, `Wrong format for MAC attribute: "02:00"`},
		form{`TYPE=IP4, IP="255.255.255.254", SIZE=3`, "Wrong SIZE (3) for address range: it goes beyond the last address"},
		form{`TYPE=ETHER, MAC="ff:ff:ff:ff:ff:fe", SIZE=3`, "Wrong SIZE (3) for address range: it goes beyond the last address"},
	)
	try(errs.Internal, "", func(w *world, who auth.Caller, text string) error {
		return w.UpdateSecGroup(w.ctx, who, 101, parsed("RULE=[PROTOCOL=ALL, RULE_TYPE=INBOUND] RULE=["+text+"]"), 0)
	},
		form{"PROTOCOL=GRE, RULE_TYPE=INBOUND", "Wrong PROTOCOL in rule. Valid options: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL."},
		form{"PROTOCOL=TCP, RULE_TYPE=SIDEWAYS", "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."},
		form{`PROTOCOL=ICMP, RULE_TYPE=INBOUND, RANGE="1"`, "RANGE is supported only for TCP and UDP protocols."},
		form{`PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="22,a"`, "Invalid RANGE specification."},
		form{`PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="9:1"`, "Invalid RANGE specification."},
		form{`PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="1:65536"`, "RANGE out of bounds 0-65536."},
		form{"PROTOCOL=TCP, RULE_TYPE=INBOUND, ICMP_TYPE=8", "ICMP_TYPE is supported only for ICMP protocol."},
		form{"PROTOCOL=ALL, RULE_TYPE=INBOUND, IP=10.0.0, SIZE=1", "Wrong format for IP value."},
		form{"PROTOCOL=ALL, RULE_TYPE=INBOUND, IP=10.0.0.1", "Wrong or empty SIZE."},
		form{"PROTOCOL=ALL, RULE_TYPE=INBOUND, NETWORK_ID=99", "Wrong NETWORK_ID."},
	)
	w.refuse(
		refusal{"a new security group", owner, func(w *world, who auth.Caller) error {
			return second(w.AllocateSecGroup(w.ctx, who, parsed("NAME=new RULE=[PROTOCOL=TCP]")))
		}, errs.Internal, "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."},
		refusal{"no range", 0, func(w *world, who auth.Caller) error { return w.AddAR(w.ctx, who, 0, parsed("A=b")) }, errs.Action, "Wrong AR definition: expected AR=[TYPE=…, SIZE=…, …]"},
		refusal{"a host without a driver", 0, func(w *world, who auth.Caller) error { return second(w.AllocateHost(w.ctx, who, "new", "", "kvm", -1)) }, errs.Internal, "IM_MAD_NAME cannot be empty."},
		refusal{"a host's status there is not", 0, func(w *world, who auth.Caller) error { return w.SetHostStatus(w.ctx, who, 1, 3) }, errs.Internal, "Wrong status code"},
		refusal{"an operation there is not", 0, func(w *world, who auth.Caller) error {
			return w.UpdateUser(w.ctx, who, owner, parsed(`VM_USE_OPERATIONS="deploy,fly"`), 1)
		}, errs.Internal, "Cannot update template. Unknown vm operation: fly"},
	)
}

func updateDatastore(id int, text string) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.UpdateDatastore(w.ctx, who, id, parsed(text), 1) }
}

// TestRefusedLimitsAndRules: quotas and ACL rules that make no sense. Sources: identity
// reference §7.3 and §10.2.
func TestRefusedLimitsAndRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		u := *tx.Users.At(owner)
		u.Quotas.VM = &one.VMQuota{VMs: 9}
		u.Quotas.Datastores = map[int]one.DatastoreQuota{1: {Images: 5, Size: -1}}
		tx.PutUser(&u)
	})
	for text, want := range map[string]string{
		"VM=[VMS=-3]":  "Negative limits or bad format in quota VM = [ VMS=-3 ]",
		"VM=[VMS=few]": "Negative limits or bad format in quota VM = [ VMS=few ]",
		"DATASTORE=[ID=1, SIZE=2] DATASTORE=[ID=one]":   "String 'one' is not a valid ID",
		"DATASTORE=[ID=1, SIZE=2] NETWORK=[LEASES=1]":   "String '' is not a valid ID",
		"DATASTORE=[ID=1, SIZE=2] IMAGE=[ID=0,RVMS=-7]": "Negative limits or bad format in quota IMAGE = [ ID=0,RVMS=-7 ]",
	} {
		w.refuse(
			refusal{"user " + text, 0, func(w *world, who auth.Caller) error { return w.SetUserQuota(w.ctx, who, owner, parsed(text)) }, errs.Internal, want},
			refusal{"group " + text, 0, func(w *world, who auth.Caller) error { return w.SetGroupQuota(w.ctx, who, 1, parsed(text)) }, errs.Internal, want},
			refusal{"default " + text, 0, func(w *world, who auth.Caller) error {
				return second(w.SetDefaultQuota(w.ctx, who, "user", parsed(text)))
			}, errs.Internal, want},
		)
	}
	w.refuse(
		refusal{"a default of the default", 0, func(w *world, who auth.Caller) error {
			return second(w.SetDefaultQuota(w.ctx, who, "user", parsed("VM=[VMS=-1]")))
		}, errs.Internal, "Negative limits or bad format in quota VM = [ VMS=-1 ]"},
		refusal{"oneadmin's", 0, func(w *world, who auth.Caller) error { return w.SetUserQuota(w.ctx, who, 0, parsed("VM=[VMS=1]")) }, errs.Action, "Cannot set quotas for oneadmin user"},
		refusal{"group oneadmin's", 0, func(w *world, who auth.Caller) error { return w.SetGroupQuota(w.ctx, who, 0, parsed("VM=[VMS=1]")) }, errs.Action, "Cannot set quotas for oneadmin group"},
	)
	rule := func(what, user, resource, rights, zone, want string) {
		w.refuse(refusal{what, 0, func(w *world, who auth.Caller) error {
			return second(w.AddRule(w.ctx, who, user, resource, rights, zone))
		}, errs.Internal, want})
	}
	rule("a rule again", "200000001", "2400000000", "2", "100000000", "Rule @1 HOST/* MANAGE #0 already exists")
	rule("no number", "0xzz", "2400000000", "2", "", `Rule is malformed: [user] "0xzz" is not a hexadecimal number`)
	rule("nobody", "1", "2400000000", "2", "", "Rule ?? HOST/* MANAGE #0 is malformed: [user] is missing one of the INDIVIDUAL, GROUP or ALL bits")
	rule("nothing", "200000001", "400000000", "2", "", "Rule @1 /* MANAGE #0 is malformed: [resource] type is missing")
	rule("no right", "200000001", "2400000000", "0", "", "Rule @1 HOST/*  #0 is malformed: wrong [rights], it cannot be 0")
	rule("a group's hosts", "200000001", "2200000005", "1", "", "Rule @1 HOST/@5 USE #0 is malformed: [resource] GROUP(@) selector cannot be applied to HOST, GROUP, CLUSTER, ZONE or VDC types")
	rule("one host in all zones", "200000001", "2100000005", "1", "400000000", "Rule @1 HOST/#5 USE * is malformed: [resource] INDIVIDUAL(#) selector cannot be applied to ALL zones, except for USER, GROUP and ZONE types")
}
