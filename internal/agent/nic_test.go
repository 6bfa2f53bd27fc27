package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// An alias is an address and no device: rules and context know it, the domain does not.
func TestAliases(t *testing.T) {
	alias := tmpl.Vec("NIC_ALIAS", "NIC_ID", "5", "PARENT_ID", "3", "ALIAS_ID", "0", "MAC", "02:00:0a:00:00:05")
	step := func(op agentapi.Op, attempt int) agentapi.Step {
		s := vm(7, op, attempt)
		s.NIC = alias.Vector
		s.Machine.Template = s.Machine.Template.WithVectors("NIC", []tmpl.Vector{plugged.Vector})
		if op == agentapi.OpAttachNIC {
			s.Machine.Template = s.Machine.Template.Add(alias)
		}
		return s
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ops[agentapi.OpDetachNIC])
		defer r.stop()
		for i, c := range []struct {
			op    agentapi.Op
			there bool
		}{{agentapi.OpAttachNIC, true}, {agentapi.OpDetachNIC, false}, {agentapi.OpDetachNIC, false}} {
			r.takeCalls()
			if res := r.one(t, step(c.op, i+1)); !res.OK() {
				t.Fatalf("%s: %s", c.op, res.Error)
			}
			if got, want := r.takeCalls(), []string{"post", "post'", "context", "context'", "change context", "change context'"}; !slices.Equal(got, want) {
				t.Errorf("%s: calls %q, want %q", c.op, got, want)
			}
			if got := slices.Contains(r.picture(t, 7), "7 rules of NIC 5"); got != c.there {
				t.Errorf("%s: the rules know the alias: %t", c.op, got)
			}
		}
		// One that cannot be attached leaves no rules behind.
		r.setAt(func(_ context.Context, point string) error {
			if point == "change context" {
				return errors.New("the drive is shut")
			}
			return nil
		})
		if res := r.one(t, step(agentapi.OpAttachNIC, 9)); !strings.Contains(res.Error, "the drive is shut") {
			t.Errorf("result %+v", res)
		}
		if slices.Contains(r.picture(t, 7), "7 rules of NIC 5") {
			t.Error("the rules know an alias that the VM does not have")
		}
	})
}

// A domain that has died meanwhile gets no NIC, and nothing is made for it.
func TestNICOfDeadDomain(t *testing.T) {
	for _, op := range []agentapi.Op{agentapi.OpAttachNIC, agentapi.OpDetachNIC, agentapi.OpUpdateNIC} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, ops[op])
			defer r.stop()
			if err := r.Kill(domain(7)); err != nil {
				t.Fatal(err)
			}
			before := r.picture(t, 7)
			res := r.one(t, vm(7, op, 1))
			if res.OK() || strings.Contains(res.Error, "undoing") || !slices.Equal(r.picture(t, 7), before) {
				t.Errorf("%s: %+v, and there is %q, want %q", op, res, r.picture(t, 7), before)
			}
		})
	}
}

// onlyDriver hides what else a driver can do.
type onlyDriver struct{ hypervisor.Driver }

func TestDriverWithoutNICs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		s := &server{ack: true}
		_, stop := start(t, s, Config{Driver: onlyDriver{h}, Disks: h, Networks: h})
		defer stop()
		res := s.one(t, vm(7, agentapi.OpAttachNIC, 0))
		if want := "driver dummy cannot change NICs of VMs that run"; res.Error != want {
			t.Errorf("%q, want %q", res.Error, want)
		}
		wrong := vm(7, agentapi.OpAttachNIC, 1)
		wrong.NIC = nil
		if res := s.one(t, wrong); !strings.Contains(res.Error, "NIC with its NIC_ID is expected") {
			t.Errorf("a step without a NIC: %+v", res)
		}
	})
}
