package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

const (
	allocVMFailed = "Error allocating a new virtual machine. "
	noLease       = allocVMFailed + "Cannot get IP/MAC lease from virtual network "
)

// TestRefusedLeases: addresses that are not to be had. What was taken before the
// refusal, of whatever network, is free again. Source: resources reference §6.
func TestRefusedLeases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		for i := range uint32(3) { // one of four is left
			putLease(tx, 2, 0, i, leaseOwner{one.LeaseVM, 0})
		}
		n := *tx.VNets.At(2)
		n.Meta, n.State = ownersMeta(3, "broken"), one.VNetError
		tx.PutVNet(&n)
	})
	reserved := func(text string) func(*world, auth.Caller) error { return reserve("NAME=new " + text) }
	onReserved := func(w *world, who auth.Caller) error {
		return second(w.Reserve(w.ctx, who, 1, parsed("NAME=new SIZE=1")))
	}
	hold := func(text string) func(*world, auth.Caller) error {
		return func(w *world, who auth.Caller) error { return w.Hold(w.ctx, who, 0, parsed(text)) }
	}
	const notFree, inUse = "Not enough free addresses in an address range", "Address is not part of the address range or in use."
	w.refuse(
		refusal{"the second of a full network", owner, allocVM("NIC=[NETWORK_ID=0] NIC=[NETWORK_ID=2] NIC=[NETWORK_ID=2]"), errs.Allocate, noLease + "2."},
		refusal{"an alias in a full network", owner, allocVM("NIC=[NETWORK_ID=2, NAME=a] NIC_ALIAS=[NETWORK_ID=2, PARENT=a]"), errs.Allocate, noLease + "2."},
		refusal{"an address that is held", owner, allocVM(`NIC=[NETWORK_ID=2] NIC=[NETWORK_ID=0, IP="10.0.0.8"]`), errs.Allocate, noLease + "0."},
		refusal{"an address that is reserved", owner, allocVM(`NIC=[NETWORK_ID=0, IP="10.0.0.9"]`), errs.Allocate, noLease + "0."},
		refusal{"an address of nowhere", owner, allocVM(`NIC=[NETWORK_ID=0, IP="10.0.0.17"]`), errs.Allocate, noLease + "0."},
		refusal{"the same address twice", owner, allocVM(`NIC=[NETWORK_ID=0, IP="10.0.0.3"] NIC=[NETWORK_ID=0, IP="10.0.0.3"]`), errs.Allocate, noLease + "0."},
		refusal{"what is no address", owner, allocVM(`NIC=[NETWORK_ID=0, IP="10.0.0"]`), errs.Allocate, allocVMFailed + `Wrong format for IP attribute: "10.0.0" is not an address`},
		refusal{"what is no hardware address", 0, allocVM(`NIC=[NETWORK_ID=0, MAC="02:zz"]`), errs.Allocate, allocVMFailed + `Wrong format for MAC attribute: "02:zz" is not six hexadecimal bytes`},
		refusal{"a network in a bad state", owner, allocVM("NIC=[NETWORK_ID=2] NIC=[NETWORK_ID=3]"), errs.Allocate, allocVMFailed + "Virtual network 3 is in wrong state: ERROR"},
		refusal{"an alias of nothing", owner, allocVM("NIC=[NETWORK_ID=2] NIC_ALIAS=[NETWORK_ID=0, PARENT=b]"), errs.Allocate, allocVMFailed + "NIC named b not found for alias"},
		refusal{"a NIC of no network", owner, allocVM("NIC=[NETWORK_ID=2] NIC=[MODEL=virtio]"), errs.Allocate, allocVMFailed + "NIC has no NETWORK_ID, NETWORK or NETWORK_MODE: one of them must say which network it is on"},
		refusal{"more than is free", owner, reserved("SIZE=14"), errs.Action, notFree},
		refusal{"more than is free in a row", owner, reserved("SIZE=8"), errs.Action, notFree},
		refusal{"nothing", owner, reserved("SIZE=0"), errs.Action, "Reservation SIZE must be a greater than 0"},
		refusal{"too much", owner, reserved("SIZE=65537"), errs.Action, "Reservation SIZE 65537 is too large: at most 65536 addresses at once; repeat it with NETWORK_ID for more"},
		refusal{"at an address of no range", owner, reserved(`SIZE=1 IP="10.0.0.1"`), errs.Action, "AR_ID must be specified for IP/MAC based reservations"},
		refusal{"at an address that is held", owner, reserved(`SIZE=1 AR_ID=0 IP="10.0.0.8"`), errs.Action, notFree},
		refusal{"over the end", owner, reserved(`SIZE=2 AR_ID=0 IP="10.0.0.16"`), errs.Action, notFree},
		refusal{"of a range there is not", owner, reserved("SIZE=1 AR_ID=5"), errs.Action, notFree},
		refusal{"of a reservation", owner, onReserved, errs.Action, "Cannot reserve addresses from a reserved VNET"},
		refusal{"for what is no reservation", owner, reserve("SIZE=1 NETWORK_ID=2"), errs.Action, "Cannot add reservations to a non-reservation VNET"},
		refusal{"hold what is held", owner, hold(`LEASES=[IP="10.0.0.1"] LEASES=[IP="10.0.0.8"]`), errs.Action, inUse},
		refusal{"hold what is not there", owner, hold(`LEASES=[IP="10.0.0.1"] LEASES=[IP="10.9.9.9"]`), errs.Action, inUse},
		refusal{"hold nothing", owner, hold("A=b"), errs.Action, "Empty lease description."},
		refusal{"hold no address", owner, hold(`LEASES=[A=b]`), errs.Action, "Missing MAC, IP or IP6."},
		refusal{"hold by two names", owner, hold(`LEASES=[IP="10.0.0.1", MAC="02:00:0a:00:00:01"]`), errs.Action, "Only one attribute MAC, IP or IP6 can be set."},
		refusal{"release what is not held", owner, func(w *world, who auth.Caller) error {
			return w.Release(w.ctx, who, 0, parsed(`LEASES=[IP="10.0.0.8"] LEASES=[IP="10.0.0.9"]`))
		}, errs.Action, inUse},
		refusal{"shrink below what is taken", owner, func(w *world, who auth.Caller) error {
			return w.UpdateAR(w.ctx, who, 0, parsed("AR=[AR_ID=0, SIZE=9]"))
		}, errs.Action, "Cannot shrink address range: there are leases in use beyond the new size"},
		refusal{"grow a reservation", owner, func(w *world, who auth.Caller) error {
			return w.UpdateAR(w.ctx, who, 1, parsed("AR=[AR_ID=0, SIZE=3]"))
		}, errs.Action, "The SIZE of reservations cannot be updated"},
		refusal{"add to a reservation", 0, func(w *world, who auth.Caller) error {
			return w.AddAR(w.ctx, who, 1, parsed("AR=[TYPE=IP4, IP=10.2.0.1, SIZE=4]"))
		}, errs.Action, "Cannot add address ranges to a reservation"},
	)
}

// TestRefusedVMs: everything else for which a VM is not made, after leases and images
// were taken. Sources: VM lifecycle reference §2.4, resources reference §1.
func TestRefusedVMs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alloc := func(text string) func(*world, auth.Caller) error {
		return allocVM("NIC=[NETWORK_ID=0] DISK=[IMAGE_ID=0] " + text)
	}
	var rows []refusal
	for text, reason := range map[string]string{
		`MEMORY="-1"`:                        "MEMORY attribute must be a positive integer value.",
		`CPU="0"`:                            "CPU attribute must be a positive float or integer value.",
		`VCPU="1.5"`:                         "VCPU attribute must be a positive integer value.",
		`OS=[BOOT="disk7"]`:                  "Wrong OS/BOOT value. Device with DISK_ID 7 not found",
		`OS=[BOOT="floppy"]`:                 `Wrong OS/BOOT value: "floppy" should be a comma-separated list of disk# or nic#`,
		`OS=[KERNEL_DS="$FILE[IMAGE_ID=0]"]`: "Error parsing: $FILE[IMAGE_ID=0]. Only images of type KERNEL can be used in KERNEL_DS attribute.",
		`VIDEO=[TYPE="cga"]`:                 "Invalid video TYPE, should be either: none, vga, cirrus, or virtio",
		`VIDEO=[VRAM="4096"]`:                "Video TYPE is required",
		`NIC_DEFAULT=[NETWORK_ID="1"]`:       "NIC_DEFAULT attribute must not contain NETWORK_ID",
		`DISK=[IMAGE_ID=0, TARGET=sda] DISK=[TYPE=fs, SIZE=1, TARGET=sda]`: "Two disks have defined the same target sda",
		`DISK=[IMAGE_ID=0] DISK=[TYPE=fs]`:                                 "Size attribute in template is mandatory: DISK 2 needs SIZE in MB, a positive number",
		`DISK=[IMAGE_ID=0] DISK=[SIZE=1]`:                                  `Unknown disk type "": a DISK needs IMAGE_ID, IMAGE, or TYPE fs or swap`,
		`DISK=[IMAGE_ID=0, SIZE=much]`:                                     "Disk SIZE is not a valid integer",
		`CONTEXT=[FILES_DS="$FILE[IMAGE_ID=2]"]`:                           "Only images of type CONTEXT can be used in FILE_DS attribute.",
		`CONTEXT=[TOKEN=YES]`:                                              "TOKEN set, but onegate endpoint was not defined in oned.conf.",
	} {
		rows = append(rows, refusal{text, owner, alloc(text), errs.Allocate, allocVMFailed + reason})
	}
	w.refuse(rows...)
	w.do(func(tx *store.Tx) {
		n := *tx.VNets.At(0)
		n.ClusterIDs = []int{100}
		tx.PutVNet(&n)
	})
	w.refuse(
		refusal{"no cluster in common", owner, alloc(""), errs.Allocate, allocVMFailed + "Incompatible clusters in NIC. Network for NIC 0 is in cluster 100, which none of the others shares"},
		refusal{"AS_UID that is none", 0, instantiate("AS_UID=x", false), errs.Internal, `Wrong AS_UID "x": expected the id of a user`},
		refusal{"a template of a router", 0, func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error {
				v := *tx.Templates.At(0)
				v.Template = v.Template.With("VROUTER", "YES")
				tx.PutTemplate(&v)
				return second(w.instantiate(tx, who, 0, instantiation{service: -1, vrouter: -1}))
			})
		}, errs.Action, "Virtual router templates cannot be instantiated"},
	)
}
