package flow

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/expr"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// measured is a VM of role web of service 7 as far as averages know it.
type measured struct {
	state    one.VMState // ACTIVE when it is not set
	lcm      one.LCMState
	role     string // web when it is not set
	user     string // user template
	sample   string // what was measured last
	template string
}

func attributes(t *testing.T, s string) *tmpl.Template {
	t.Helper()
	v, err := tmpl.Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return v
}

// shown evaluates "NAME > 50" over VMs and returns the expression as it is shown.
func shown(t *testing.T, name string, vms []measured) (bool, string) {
	t.Helper()
	st, mon := storetest.New(t), monitor.New()
	st.Do(func(tx *store.Tx) {
		for id, m := range vms {
			v := &one.VM{VMCore: one.VMCore{
				Meta:  one.Meta{ID: id, UID: 3, GID: 4, Name: "12 monkeys", UName: "ana"},
				State: m.state, LCM: m.lcm, Role: m.role, ServiceID: 7, VRouterID: -1, STime: 1700000000, Template: attributes(t, m.template),
			}, UserTemplate: attributes(t, m.user)}
			if v.State == 0 {
				v.State, v.LCM = one.VMActive, one.LCMRunning
			}
			if v.Role == "" {
				v.Role = "web"
			}
			tx.PutVM(v)
			if m.sample != "" {
				mon.TakeVMs(0, []agentapi.VMSample{{VM: id, Time: 1700000600, Data: attributes(t, m.sample)}})
			}
		}
	})
	f := &Flow{monitor: mon}
	machines := machinesOf(st.View(), &one.Document{Meta: one.Meta{ID: 7}})
	return expr.EvalElasticity(name+" > 50", func(attr string) (float64, bool) { return f.average(st.View(), machines, "web", attr) })
}

// TestAverage: which VMs count, and what becomes of their values.
// Source: OneFlow reference §4.3.
func TestAverage(t *testing.T) {
	for _, c := range []struct {
		what string
		vms  []measured
		is   bool
		want string
	}{
		{"no VM", nil, false, "ATT[--] > 50"},
		{"the seed example before", []measured{{user: "ATT=40"}, {user: "ATT=60"}}, false, "ATT[50.0] > 50"},
		{"the seed example after", []measured{{user: "ATT=45"}, {user: "ATT=60"}}, true, "ATT[52.5] > 50"},
		{"new VMs without it do not count", []measured{{user: "ATT=45"}, {user: "ATT=60"}, {}, {}}, true, "ATT[52.5] > 50"},
		{"two decimals", []measured{{user: "ATT=50"}, {user: "ATT=50"}, {user: "ATT=50.02"}}, true, "ATT[50.01] > 50"},
		{"rounded away", []measured{{user: "ATT=50"}, {user: "ATT=50"}, {user: "ATT=50.01"}}, false, "ATT[50.0] > 50"},
		{"of another role", []measured{{user: "ATT=40"}, {role: "db", user: "ATT=400"}}, false, "ATT[40.0] > 50"},
		{
			"only what runs", []measured{
				{user: "ATT=40"}, {state: one.VMSuspended, user: "ATT=400"}, {state: one.VMPoweroff, user: "ATT=400"}, {state: one.VMPending, user: "ATT=400"},
				{state: one.VMActive, lcm: one.LCMBoot, user: "ATT=400"}, {state: one.VMActive, lcm: one.LCMUnknown, user: "ATT=400"},
			}, false, "ATT[40.0] > 50",
		},
		{"text is its leading number", []measured{{user: `ATT="110x"`}, {user: `ATT="abc"`}}, true, "ATT[55.0] > 50"},
		{"of all forms", []measured{{user: `ATT=" 1.5e2 "`}, {user: `ATT="-50."`}, {user: `ATT="1e"`}, {user: `ATT=".5"`}}, false, "ATT[25.38] > 50"},
		{"vectors and what is there twice do not count", []measured{{user: "ATT=[A=90]"}, {user: "ATT=90\nATT=90"}, {user: "ATT=30"}}, false, "ATT[30.0] > 50"},
		{"nor does what they hide", []measured{{user: "ATT=[A=90]", sample: "ATT=70"}}, false, "ATT[--] > 50"},
	} {
		if is, got := shown(t, "ATT", c.vms); is != c.is || got != c.want {
			t.Errorf("%s: %v %s, want %v %s", c.what, is, got, c.is, c.want)
		}
	}
}

// TestLookUpOrder: where the value of a VM comes from.
// Source: OneFlow reference §4.3.
func TestLookUpOrder(t *testing.T) {
	for _, c := range []struct {
		what, name string
		vm         measured
		want       string
	}{
		{"the user template first", "CPU", measured{user: "CPU=1", sample: "CPU=2", template: "CPU=3"}, "CPU[1.0] > 50"},
		{"then what is measured", "CPU", measured{sample: "CPU=84.5", template: "CPU=3"}, "CPU[84.5] > 50"},
		{"then what is configured", "CPU", measured{template: "CPU=0.25"}, "CPU[0.25] > 50"},
		{"usage and size of memory are two things", "MEMORY", measured{sample: "MEMORY=131072", template: "MEMORY=768"}, "MEMORY[131072.0] > 50"},
		{"which shows when nothing is measured", "MEMORY", measured{template: "MEMORY=768"}, "MEMORY[768.0] > 50"},
		{"another measurement does not hide it", "MEMORY", measured{sample: "CPU=1", template: "MEMORY=768"}, "MEMORY[768.0] > 50"},
		{"an empty value is one", "ATT", measured{user: `ATT=""`, sample: "ATT=60"}, "ATT[0.0] > 50"},
		{"then the VM", "UID", measured{}, "UID[3.0] > 50"},
		{"behind its template", "UID", measured{template: "UID=70"}, "UID[70.0] > 50"},
		{"its state", "LCM_STATE", measured{}, "LCM_STATE[3.0] > 50"},
		{"its times", "STIME", measured{}, "STIME[1700000000.0] > 50"},
		{"when it was measured", "LAST_POLL", measured{sample: "CPU=1"}, "LAST_POLL[1700000600.0] > 50"},
		{"its name, as far as it is a number", "NAME", measured{}, "NAME[12.0] > 50"},
		{"names are upper case", "cpu", measured{user: "CPU=7"}, "CPU[7.0] > 50"},
		{"nowhere", "NOPE", measured{user: "ATT=1"}, "NOPE[--] > 50"},
	} {
		if _, got := shown(t, c.name, []measured{c.vm}); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
