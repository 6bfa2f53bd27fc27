package machine

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Place is where a VM goes.
type Place struct {
	HostID    int
	Hostname  string
	ClusterID int
	VMMad     string
	DSID      int
	TMMad     string
}

// Deploy puts a waiting VM on a host: a new record opens and the prolog begins.
// Source: VM lifecycle reference §3.2.
func Deploy(v *one.VM, p Place, now time.Time) (Change, error) {
	lcm := one.LCMProlog
	switch v.State {
	case one.VMPending, one.VMHold:
		switch v.Origin {
		case one.VMStopped:
			lcm = one.LCMPrologResume
		case one.VMUndeployed:
			lcm = one.LCMPrologUndeploy
		}
	case one.VMStopped:
		lcm = one.LCMPrologResume
	case one.VMUndeployed:
		lcm = one.LCMPrologUndeploy
	default:
		return Change{}, fmt.Errorf("Deploy action is not available for state %s", v.StateName())
	}
	n := v.WithLastRecord(func(h *one.History) {
		if h.ETime == 0 {
			h.ETime = now.Unix()
		}
	})
	n = n.WithNewRecord(one.History{
		Hostname: p.Hostname, HID: p.HostID, CID: p.ClusterID, STime: now.Unix(), PSTime: now.Unix(), VMMad: p.VMMad,
		TMMad: p.TMMad, DSID: p.DSID, UID: -1, GID: -1, RequestID: -1,
	})
	n = n.WithState(one.VMActive, lcm, now.UnixMilli())
	n.Resched, n.Origin = false, one.VMInit
	return Change{VM: n, Charge: v.State == one.VMStopped || v.State == one.VMUndeployed}, nil
}
