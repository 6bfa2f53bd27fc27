package flow

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

func TestNodeFlags(t *testing.T) {
	role := func(state one.RoleState, way, newAfter int, leaving ...int) *one.Role {
		return &one.Role{Name: "web", State: state, ScaleWay: way, NewAfter: newAfter, Leaving: leaving}
	}
	for _, c := range []struct {
		vm           int
		role         *one.Role
		up, disposed string
	}{
		{5, role(one.RoleRunning, 0, 0), "", ""},
		{5, role(one.RoleScaling, 0, 5), "", ""},
		{6, role(one.RoleScaling, 0, 5), "1", ""},
		{0, role(one.RoleScaling, 0, -1), "1", ""}, // the first VM there is
		{6, role(one.RoleFailedScaling, 0, 5), "1", ""},
		{6, role(one.RoleScaling, 1, 5), "", ""},
		{3, role(one.RoleScaling, 1, 5, 2, 3), "", "1"},
		{4, role(one.RoleScaling, 1, 5, 2, 3), "", ""},
		{3, role(one.RoleUndeploying, 0, 0, 3), "", "1"},
		{6, role(one.RoleCooldown, 0, 0), "", ""},
	} {
		v := &one.VM{}
		v.ID = c.vm
		n := node(v, c.role)
		if up, disposed := n.Get("scale_up").Text, n.Get("disposed").Text; up != c.up || disposed != c.disposed {
			t.Errorf("VM %d of %+v: scale_up %q, disposed %q", c.vm, c.role, up, disposed)
		}
	}
}
