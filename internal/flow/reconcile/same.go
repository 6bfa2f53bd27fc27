package reconcile

import (
	"bytes"
	"maps"
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
)

// same tells whether two versions of a service are alike in everything. Most
// plans change nothing, so that this is asked on nearly every event.
func same(a, b *one.Service) bool {
	return a.ID == b.ID && a.State == b.State && a.StartTime == b.StartTime && a.Since == b.Since && a.LogSeq == b.LogSeq &&
		a.ScalingRole == b.ScalingRole && a.CooldownEnds == b.CooldownEnds && a.Cooldown == b.Cooldown &&
		a.Emptied == b.Emptied && a.Chowning == b.Chowning &&
		slices.EqualFunc(a.Roles, b.Roles, sameRole) && slices.EqualFunc(a.Actions, b.Actions, sameAction) &&
		maps.Equal(a.Routers, b.Routers) && slices.Equal(a.Networks, b.Networks) && sameSpec(a.Spec, b.Spec)
}

// sameSpec compares texts, at once when they are one.
func sameSpec(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

func sameRole(a, b one.Role) bool {
	return a.Name == b.Name && a.State == b.State && a.Since == b.Since && a.Cardinality == b.Cardinality && a.LastVM == b.LastVM &&
		a.Made == b.Made && a.NewAfter == b.NewAfter && a.Released == b.Released && a.Removing == b.Removing && a.ScaleWay == b.ScaleWay &&
		slices.Equal(a.Leaving, b.Leaving) && slices.Equal(a.Retry, b.Retry) && slices.Equal(a.Policies, b.Policies) && slices.Equal(a.Sched, b.Sched)
}

func sameAction(a, b one.ServiceAction) bool {
	return a.Action == b.Action && a.Args == b.Args && a.UID == b.UID && a.Period == b.Period && a.Number == b.Number &&
		a.Time == b.Time && a.Done == b.Done && slices.Equal(a.VMs, b.VMs)
}
