package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Migration says how one.vm.migrate is to move a VM.
type Migration struct {
	Live    bool // of a VM that runs: without a stop
	Enforce bool // check that the host has room
	// Datastore is the system datastore to move to, -1 for the one that the VM has.
	Datastore int
	// Type is how a VM that runs is stopped when it is not moved live: 0 its memory is
	// saved, 1 it is asked to power off, 2 it is powered off at once.
	Type int
}

// moveActions are the actions of the types of a migration that is not live.
// Source: XML-RPC reference §7.2, VM lifecycle reference §4.
var moveActions = [...]one.Action{one.ActionMigrate, one.ActionPoweroffMigrate, one.ActionPoweroffHardMig}

// movesLive tells whether the hosts of a driver hand domains over that run. Source:
// docs/compatibility.md.
func movesLive(vmMad string) bool { return vmMad == "dummy" }

// MigrateVM moves a VM to another host.
// Source: XML-RPC reference §7.2, VM lifecycle reference §3.3.
func (c *Cloud) MigrateVM(ctx context.Context, who auth.Caller, id, host int, m Migration) error {
	return c.update(ctx, func(tx *store.Tx) error {
		v, h, err := c.vmAndHost(&tx.State, who, id, "migrate", host, m.Datastore)
		if err != nil {
			return err
		}
		return c.migrate(tx, who, v, h, m)
	})
}

func (c *Cloud) migrate(tx *store.Tx, who auth.Caller, v *one.VM, h *one.Host, m Migration) error {
	fail := func(format string, args ...any) error {
		return errs.New(errs.Action, format, args...).About(v.ID)
	}
	action := one.ActionLiveMigrate
	if !m.Live || !v.Running() {
		if m.Type < 0 || m.Type >= len(moveActions) {
			return fail("Wrong migration type %d: expected 0 (save), 1 (poweroff) or 2 (poweroff-hard)", m.Type)
		}
		action = moveActions[m.Type]
	}
	move := machine.Move{Action: action}
	if _, err := machine.Migrate(v, move, whoIs(who), c.now()); err != nil {
		return fail("%s", err)
	}
	from := v.LastRecord()
	if from.HID == h.ID && (m.Datastore < 0 || m.Datastore == from.DSID) {
		return fail("VM is already running on HOST [%d]", h.ID)
	}
	if h.State == one.HostOffline {
		return fail("Host is offline, cannot use it to deploy VM")
	}
	if pin := strings.ToUpper(v.Template.Vector("TOPOLOGY").Get("PIN_POLICY")); m.Live && pin != "" && pin != "NONE" {
		return fail("VM with a pinned NUMA topology cannot be live-migrated")
	}
	if v.Template.Has("PCI") && (action == one.ActionMigrate || action == one.ActionLiveMigrate) {
		return fail("Cannot migrate VM [%d], use poweroff or poweroff-hard flag for migrating a VM with PCI devices", v.ID)
	}
	if h.ClusterID != from.CID {
		clusters, err := commonClusters(v.Template)
		if err != nil {
			return refused(err, v.ID)
		}
		if clusters != nil && !slices.Contains(clusters, h.ClusterID) {
			return fail("Cannot migrate  VM [%d] to host [%d]. Host is in cluster [%d], and VM requires to be placed on cluster [%s]",
				v.ID, h.ID, h.ClusterID, joinInts(clusters))
		}
	}
	switch {
	case m.Datastore >= 0 && m.Datastore != from.DSID && action == one.ActionLiveMigrate:
		return fail("A migration to a different system datastore cannot be performed live.")
	case m.Datastore >= 0 && m.Datastore != from.DSID:
		return fail("System datastore migration not supported by TM driver")
	}
	d, err := systemDatastore(&tx.State, h, from.DSID)
	if err != nil {
		return fail("%s", err)
	}
	if action == one.ActionLiveMigrate && !(movesLive(from.VMMad) && movesLive(h.VMMad)) {
		return fail("live migration is not supported on this host; migrate the VM without it: its memory is saved, and it goes on where it was")
	}
	if m.Enforce {
		if reason := misfit(&tx.State, h, v.Capacity()); reason != "" {
			return fail("VM [%d] does not fit in HOST [%d]. %s", v.ID, h.ID, reason)
		}
	}
	n, err := c.portElsewhere(&tx.State, v, h.ClusterID)
	if err != nil {
		return fail("%s", err)
	}
	move.Place = machine.Place{
		HostID: h.ID, Hostname: h.Name, ClusterID: h.ClusterID, VMMad: h.VMMad, DSID: d.ID, TMMad: d.TMMad,
	}
	if old, there := tx.Hosts.Get(from.HID); !v.Running() && (!there || old.State == one.HostError || old.State == one.HostOffline) {
		move.Lost = true
	}
	ch, err := machine.Migrate(n, move, whoIs(who), c.now())
	if err != nil {
		return fail("%s", err)
	}
	return c.Apply(tx, who, v, ch)
}

// portElsewhere gives a VM that goes to another cluster another port for its
// graphics, if another VM has its port there. A guest whose memory is kept keeps its
// port. Source: VM lifecycle reference §3.3.
func (c *Cloud) portElsewhere(st *store.State, v *one.VM, cluster int) (*one.VM, error) {
	g := v.Template.Vector("GRAPHICS")
	port, ok := atoi(g.Get("PORT"))
	if !ok || cluster == v.LastRecord().CID || !portTaken(st, v, cluster, port) {
		return v, nil
	}
	const none = "No free VNC port available in the new cluster"
	if v.Running() || v.State == one.VMSuspended {
		return nil, errs.New(errs.Action, none).About(v.ID)
	}
	n, err := assignPort(st, withoutPort(v), cluster)
	if err != nil {
		return nil, errs.New(errs.Action, none).About(v.ID)
	}
	return n, nil
}
