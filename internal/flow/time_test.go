package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
)

// The tests of what is about time run in bubbles, in which hours pass in no time.

// A guest that does not listen ends the wait for it, and recovery asks it again.
func TestStubbornGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, flow.Options{}, sim.Config{Behaviour: sim.Behaviour{ShutdownTime: -1}})
		id := b.service("", b.role("web 1", ""))
		b.waitState(id, one.ServiceRunning)
		b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
		time.Sleep(time.Minute)
		b.waitState(id, one.ServiceUndeploying)
		time.Sleep(5 * time.Minute)
		b.waitState(id, one.ServiceFailedUndeploying)
		b.Sim(b.host).SetBehaviour(sim.Behaviour{})
		b.must(b.flow.Recover(b.Context(), b.Admin, id, false))
		b.waitGone(id)
		b.Stop()
		b.must(b.st.Close())
	})
}

func TestCooldownPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.service("", b.role("web 1", ""))
		b.waitState(id, one.ServiceRunning)
		b.must(b.flow.Scale(b.Context(), b.Admin, id, "web", 2))
		b.waitState(id, one.ServiceCooldown)
		began := time.Now()
		time.Sleep(299 * time.Second)
		b.waitState(id, one.ServiceCooldown)
		b.refused(b.flow.Scale(b.Context(), b.Admin, id, "web", 3), "Service cannot be scaled in state: COOLDOWN")
		b.waitState(id, one.ServiceRunning)
		if d := time.Since(began).Round(100 * time.Millisecond); d != 300*time.Second {
			t.Errorf("the cooldown took %s", d)
		}
		b.Stop()
		b.must(b.st.Close())
	})
}

// load tells of a measurement as an agent does.
func (b *bench) load(vm int, text string) {
	s := []agentapi.VMSample{{VM: vm, Time: time.Now().Unix(), Data: parseText(b.t, text)}}
	b.mon.TakeVMs(b.host, s)
	b.flow.TakeVMs(b.host, s)
}

const cpuPolicy = `"min_vms":1,"max_vms":4,"cooldown":5,"elasticity_policies":[
	{"type":"CHANGE","adjust":1,"expression":"CPU > 80","period_number":2,"period":10},
	{"type":"CHANGE","adjust":-1,"expression":"LOAD < 10 && LOAD > 0"}]`

func TestElasticity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.service("", b.role("web 2", cpuPolicy))
		b.waitState(id, one.ServiceRunning)
		vms := b.vms(id, "web")
		time.Sleep(time.Minute)
		synctest.Wait()
		// Monitoring goes before the VM's own CPU of 0.1.
		b.load(vms[0].ID, "CPU=100")
		b.load(vms[1].ID, "CPU=70")
		synctest.Wait()
		body, _ := b.flow.Body(id)
		p := parse(t, string(body)).Get("roles").Items[0].Get("elasticity_policies").Items[0]
		if p.Get("true_evals").Text != "1" || p.Get("expression_evaluated").Text != "CPU[85.0] > 80" || p.Get("last_eval").Text != fmt.Sprint(time.Now().Unix()) {
			t.Errorf("policy: %s", p.Compact())
		}
		began := time.Now()
		b.waitState(id, one.ServiceScaling)
		if d := time.Since(began).Round(time.Second); d != 10*time.Second {
			t.Errorf("it was scaled after %s", d)
		}
		b.waitState(id, one.ServiceRunning)
		if n := len(b.vms(id, "web")); n != 3 || !contains(b.log(id), "I Role web scaling up from 2 to 3 nodes") {
			t.Errorf("after growing: %s", b.describe(id))
		}
		// A guest reports a low load in its user template: the oldest go, down to
		// the lower limit.
		for _, v := range b.vms(id, "web") {
			b.load(v.ID, "CPU=5")
		}
		time.Sleep(time.Minute)
		last := b.vms(id, "web")[2].ID
		b.put(last, "LOAD=5")
		time.Sleep(time.Minute)
		if left := b.vms(id, "web"); len(left) != 1 || left[0].ID != last || !contains(b.log(id), "I Role web scaling down from 3 to 2 nodes") {
			t.Errorf("after shrinking: %s", b.describe(id))
		}
		b.waitState(id, one.ServiceRunning)
		b.Stop()
		b.must(b.st.Close())
	})
}

// However fast guests push, a policy is evaluated once in its interval, and what
// does not change a decision is not written.
func TestPushesDoNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.service("", b.role("web 1", `"min_vms":1,"max_vms":4,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"LOAD > 80","period_number":3,"period":60}]`))
		s := b.waitState(id, one.ServiceRunning)
		vm := b.vms(id, "web")[0].ID
		for i := range 1000 {
			b.put(vm, fmt.Sprintf("LOAD=%d", i%50))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if now, _ := b.st.View().Services.Get(id); now != s {
			t.Errorf("the service was written although nothing was decided: %+v", now)
		}
		for i := range 1300 {
			b.put(vm, fmt.Sprintf("LOAD=%d", 81+i%10))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if now, _ := b.st.View().Services.Get(id); now.State != one.ServiceRunning || now.Roles[0].Policies[0].TrueEvals != 2 {
			t.Errorf("after 130 s: %s, counters %v", b.describe(id), now.Roles[0].Policies)
		}
		b.waitState(id, one.ServiceScaling)
		b.Stop()
		b.must(b.st.Close())
	})
}

func TestScheduledPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t) // it is midnight, 1 January 2000, UTC
		id := b.service("", b.role("web 1", `"min_vms":1,"max_vms":9,"cooldown":0,"scheduled_policies":[
			{"type":"CARDINALITY","adjust":6,"recurrence":"0 9 * * mon-fri"},{"type":"CARDINALITY","adjust":2,"start_time":"22:30"}]`))
		b.waitState(id, one.ServiceRunning)
		for _, c := range []struct {
			until time.Duration
			want  int
		}{
			{22 * time.Hour, 1}, {45 * time.Minute, 2}, // Saturday
			{34 * time.Hour, 2}, {time.Hour, 6}, // Monday 09:00, having been asked for 2 on Sunday evening again
			{12*time.Hour + 30*time.Minute, 6}, {time.Hour, 2}, // 22:15, 23:15
		} {
			time.Sleep(c.until)
			synctest.Wait()
			if n := len(b.vms(id, "web")); n != c.want {
				t.Errorf("at %s: %d VMs, want %d", time.Now().UTC().Format("Mon 15:04"), n, c.want)
			}
		}
		b.Stop()
		b.must(b.st.Close())
	})
}

// What an agent measures twice alike is no change.
func TestSameSampleIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.service("", b.role("web 1", `"min_vms":1,"max_vms":4,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"CPU > 80"}]`))
		b.waitState(id, one.ServiceRunning)
		vm := b.vms(id, "web")[0].ID
		time.Sleep(time.Minute)
		b.load(vm, "CPU=10")
		synctest.Wait()
		last := func() string {
			body, _ := b.flow.Body(id)
			return parse(t, string(body)).Get("roles").Items[0].Get("elasticity_policies").Items[0].Get("last_eval").Text
		}
		before := last()
		time.Sleep(time.Minute)
		b.load(vm, "CPU=10\nNETRX=5")
		synctest.Wait()
		if now := last(); now != before {
			t.Errorf("it was evaluated at %s and %s", before, now)
		}
		b.load(vm, "CPU=11")
		synctest.Wait()
		if now := last(); now == before {
			t.Error("a change was not noticed")
		}
		b.Stop()
		b.must(b.st.Close())
	})
}

// A service whose VMs find no host fails after the deadline, and says so; it can
// then be recovered, or shut down.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings()
		cfg.Deadline = config.Duration(10 * time.Minute)
		b := newBenchWith(t, flow.Options{Config: cfg}, sim.Config{})
		huge := b.Template("NAME=huge\nCPU=1000000\nMEMORY=64")
		id := b.service("", fmt.Sprintf(`{"name":"web","type":"vm","template_id":%d,"cardinality":1}`, huge))
		b.waitState(id, one.ServiceDeploying)
		time.Sleep(9 * time.Minute)
		b.waitState(id, one.ServiceDeploying)
		time.Sleep(2 * time.Minute)
		b.waitState(id, one.ServiceFailedDeploying)
		if log := strings.Join(b.log(id), "\n"); !strings.Contains(log, "Role web is still DEPLOYING after 10m0s") {
			t.Errorf("log %s", log)
		}
		b.must(b.flow.Recover(b.Context(), b.Admin, id, true))
		b.waitGone(id)
		b.Stop()
		b.must(b.st.Close())
	})
}
