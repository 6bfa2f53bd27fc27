package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/monitor"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a running cloud with a service manager and one simulated host.
type bench struct {
	*rig.Rig
	t    testing.TB
	st   *storetest.Store
	flow *flow.Flow
	mon  *monitor.Monitor // what the test measures, instead of the agents
	host int
	vmt  int // a VM template
}

func settings() config.Flow { return config.Default().Flow }

func newBench(t testing.TB) *bench { return newBenchWith(t, flow.Options{}, sim.Config{}) }

func newBenchWith(t testing.TB, o flow.Options, host sim.Config) *bench {
	t.Helper()
	b := &bench{t: t, st: storetest.New(t)}
	b.Rig = rig.Start(t, b.st.Store)
	b.start(o)
	b.host = b.AddHost("sim0", host)
	b.vmt = b.Template("NAME=vm\nCPU=0.1\nMEMORY=64\nCONTEXT=[NETWORK=\"YES\",SSH_PUBLIC_KEY=\"k\"]")
	return b
}

// start runs a service manager.
func (b *bench) start(o flow.Options) {
	if o.Config == (config.Flow{}) {
		o.Config = settings()
	}
	b.mon = monitor.New()
	o.Store, o.Cloud, o.Monitor, o.Log = b.st.Store, b.Cloud, b.mon, b.Log
	b.flow = flow.New(o)
	b.Go("flow", b.flow.Run)
}

func parse(t testing.TB, text string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func parseText(t testing.TB, text string) *tmpl.Template {
	t.Helper()
	v, err := tmpl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// role is one role's JSON: "name cardinality" with more members.
func (b *bench) role(head, more string) string {
	name, n, _ := strings.Cut(head, " ")
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"name":%q,"type":"vm","template_id":%d,"cardinality":%s%s}`, name, b.vmt, n, more)
}

// template registers a service template.
func (b *bench) template(members string, roles ...string) int {
	b.t.Helper()
	if members != "" {
		members += ","
	}
	v, err := b.flow.CreateTemplate(b.Context(), b.Admin, parse(b.t, `{"name":"s",`+members+`"roles":[`+strings.Join(roles, ",")+`]}`))
	if err != nil {
		b.t.Fatal(err)
	}
	return idOf(b.t, v)
}

func idOf(t testing.TB, v jsontree.Value) int {
	t.Helper()
	var id int
	if _, err := fmt.Sscan(v.Get("DOCUMENT").Get("ID").Text, &id); err != nil {
		t.Fatalf("no ID in %s", v.Compact())
	}
	return id
}

// service registers and instantiates a service.
func (b *bench) service(members string, roles ...string) int {
	b.t.Helper()
	v, err := b.flow.Instantiate(b.Context(), b.Admin, b.template(members, roles...), jsontree.Value{})
	if err != nil {
		b.t.Fatal(err)
	}
	return idOf(b.t, v)
}

// waitFor waits until a service is in a state and is as it should be.
func (b *bench) waitFor(id int, state one.ServiceState, ok func(*store.State, *one.Service) bool) *one.Service {
	b.t.Helper()
	var s *one.Service
	err := b.TryWait(func(st *store.State) bool {
		var found bool
		s, found = st.Services.Get(id)
		return found && s.State == state && (ok == nil || ok(st, s))
	})
	if err != nil {
		b.t.Fatalf("waiting for service %d in %s: it is %s: %v", id, state, b.describe(id), err)
	}
	return s
}

// waitCrash waits until the store has crashed, or all is done without.
func (b *bench) waitCrash(crashed <-chan struct{}, done func(*store.State) bool) {
	b.t.Helper()
	look, giveUp := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for !done(b.st.View()) {
		select {
		case <-crashed:
			return
		case <-look.C:
		case <-giveUp:
			b.t.Fatal("neither a crash nor an end")
		}
	}
}

func (b *bench) waitState(id int, state one.ServiceState) *one.Service {
	b.t.Helper()
	return b.waitFor(id, state, nil)
}

func (b *bench) waitGone(id int) {
	b.t.Helper()
	err := b.TryWait(func(st *store.State) bool {
		_, found := st.Documents.Get(id)
		return !found
	})
	if err != nil {
		b.t.Fatalf("waiting for service %d to be gone: it is %s: %v", id, b.describe(id), err)
	}
	st := b.st.View()
	if st.ServiceVMs.Any(id) {
		b.t.Fatalf("service %d is gone, but not its VMs %v", id, st.ServiceVMs.List(id))
	}
	if _, ok := st.Services.Get(id); ok {
		b.t.Fatalf("service %d is left without its document", id)
	}
	for range st.ServiceLog(id) {
		b.t.Fatalf("the log of service %d is left", id)
	}
}

func (b *bench) describe(id int) string {
	st := b.st.View()
	s, ok := st.Services.Get(id)
	if !ok {
		return "gone"
	}
	out := s.State.String()
	for _, r := range s.Roles {
		out += fmt.Sprintf(" %s:%s(%d)", r.Name, r.State, r.Cardinality)
	}
	for vm := range st.ServiceVMs.Of(id) {
		if v, ok := st.VM(vm); ok {
			out += fmt.Sprintf(" %d/%s=%s", vm, v.Role, v.StateName())
		}
	}
	return out + fmt.Sprintf(" log %q", b.log(id))
}

func (b *bench) log(id int) []string {
	var out []string
	for e := range b.st.View().ServiceLog(id) {
		if e.Message != "" {
			out = append(out, e.Severity+" "+e.Message)
		}
	}
	return out
}

// vms returns the VMs of a role, ascending.
func (b *bench) vms(id int, role string) []*one.VM {
	st := b.st.View()
	var out []*one.VM
	for vm := range st.ServiceVMs.Of(id) {
		if v, ok := st.VMs.Get(vm); ok && v.Role == role {
			out = append(out, v)
		}
	}
	return out
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) refused(err error, want string) {
	b.t.Helper()
	if err == nil || err.Error() != want {
		b.t.Fatalf("got error %v, want %q", err, want)
	}
}

// put writes into the user template of a VM, as a guest does.
func (b *bench) put(vm int, text string) {
	b.t.Helper()
	t, err := tmpl.Parse(text)
	if err != nil {
		b.t.Fatal(err)
	}
	b.must(b.Cloud.UpdateVM(b.Context(), b.Admin, vm, t, 1))
}

func (b *bench) kill(vm int) {
	b.t.Helper()
	b.must(b.Sim(b.host).Kill(fmt.Sprintf("one-%d", vm)))
}

// user makes an ordinary user.
func (b *bench) user(name string) auth.Caller {
	b.t.Helper()
	id, err := b.Cloud.AllocateUser(b.Context(), b.Admin, name, name+"-secret", "core", []int{one.UsersGroupID})
	if err != nil {
		b.t.Fatal(err)
	}
	u, _ := b.st.View().Users.Get(id)
	return auth.CallerOf(b.st.View(), u)
}

func contains(lines []string, want string) bool { return slices.Contains(lines, want) }
