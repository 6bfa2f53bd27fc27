package schedact_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a running cloud with one simulated host, in a bubble: hours pass in no
// time.
type bench struct {
	*rig.Rig
	st  *storetest.Store
	vmt int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{st: storetest.New(t)}
	b.Rig = rig.Start(t, b.st.Store)
	b.AddHost("sim0", sim.Config{})
	b.vmt = b.Template("NAME=vm\nCPU=0.1\nMEMORY=64")
	return b
}

// end stops what runs, before the bubble ends.
func (b *bench) end() {
	b.Stop()
	if err := b.st.Close(); err != nil {
		b.T.Error(err)
	}
}

func (b *bench) parse(text string) *tmpl.Template {
	b.T.Helper()
	x, err := tmpl.Parse(text)
	if err != nil {
		b.T.Fatal(err)
	}
	return x
}

// running returns a running VM.
func (b *bench) running(name string) int {
	b.T.Helper()
	vm := b.Instantiate(b.vmt, name)
	b.WaitVM(vm, one.VMActive, one.LCMRunning)
	return vm
}

// held returns a VM on hold.
func (b *bench) held(name string) int {
	b.T.Helper()
	vm, err := b.Cloud.Instantiate(b.Context(), b.Admin, b.vmt, name, true, nil, false)
	if err != nil {
		b.T.Fatal(err)
	}
	return vm
}

// schedule adds an action that is due some time from now.
func (b *bench) schedule(vm int, action string, in time.Duration, more string) int {
	b.T.Helper()
	text := fmt.Sprintf("SCHED_ACTION=[ACTION=%s, TIME=%d%s]", action, time.Now().Add(in).Unix(), more)
	id, err := b.Cloud.AddSchedAction(b.Context(), b.Admin, vm, b.parse(text))
	if err != nil {
		b.T.Fatal(err)
	}
	return id
}

// action returns a scheduled action.
func (b *bench) action(vm, id int) one.SchedAction {
	b.T.Helper()
	s := b.st.View().Schedules.At(vm)
	i := s.Find(id)
	if i < 0 {
		b.T.Fatalf("VM %d has no scheduled action %d", vm, id)
	}
	return s.Actions[i]
}

// state fails the test unless a VM is in a state once nothing moves.
func (b *bench) state(vm int, want string) {
	b.T.Helper()
	synctest.Wait()
	v, ok := b.st.View().VM(vm)
	if !ok || v.StateName() != want {
		b.T.Fatalf("VM %d is %s, want %s", vm, v.StateName(), want)
	}
}

func TestDoneWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		vm, other := b.running("a"), b.running("b")
		id := b.schedule(vm, "poweroff-hard", time.Hour, "")
		b.schedule(other, "poweroff-hard", 24*time.Hour, "")
		due := time.Now().Add(time.Hour).Unix()
		time.Sleep(time.Hour - time.Second)
		b.state(vm, "RUNNING")
		if a := b.action(vm, id); !a.Pending() || a.Done != -1 {
			t.Errorf("before its time: %+v", a)
		}
		time.Sleep(time.Second + time.Millisecond)
		b.WaitVM(vm, one.VMPoweroff, 0)
		if a := b.action(vm, id); a.Done != due || a.Pending() || a.Message != "" {
			t.Errorf("it was due at %d: %+v", due, a)
		}
		// What comes later may be due earlier.
		b.schedule(other, "suspend", time.Minute, "")
		time.Sleep(time.Minute + time.Second)
		b.WaitVM(other, one.VMSuspended, 0)
		// What is late from the start is done at once.
		b.schedule(other, "resume", -time.Hour, "")
		b.WaitVM(other, one.VMActive, one.LCMRunning)
	})
}

func TestRefusedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		held, running := b.held("a"), b.running("b")
		id := b.schedule(held, "poweroff-hard", time.Minute, "")
		b.schedule(running, "poweroff-hard", time.Minute, "")
		at := time.Now().Add(time.Minute)
		time.Sleep(time.Minute + time.Second)
		b.WaitVM(running, one.VMPoweroff, 0) // others are not stopped
		want := at.Format(time.ANSIC) + ` : [poweroff-hard] Error performing action "poweroff-hard": This action is not available for state HOLD`
		if a := b.action(held, id); a.Message != want || !a.Pending() {
			t.Errorf("refused: %+v\nwant the message %q", a, want)
		}
		// Nothing new is not written down again and again.
		before := b.st.View().Revision
		time.Sleep(time.Hour)
		synctest.Wait()
		if now := b.st.View().Revision; now != before {
			t.Errorf("%d revisions while it was refused for the same reason", now-before)
		}
		if err := b.Cloud.VMAction(b.Context(), b.Admin, held, "release"); err != nil {
			t.Fatal(err)
		}
		b.WaitVM(held, one.VMPoweroff, 0)
		if a := b.action(held, id); a.Message != "" || a.Pending() {
			t.Errorf("done in the end: %+v", a)
		}
	})
}

// One action of a VM that is refused does not stop the others of the same VM; of
// several that can be done, one is done at a time.
func TestSeveralOfOneVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		vm := b.held("a")
		off := b.schedule(vm, "poweroff-hard", time.Minute, "")
		release := b.schedule(vm, "release", time.Minute, "")
		time.Sleep(time.Minute + time.Millisecond)
		b.WaitVM(vm, one.VMPoweroff, 0)
		if a := b.action(vm, release); a.Pending() {
			t.Errorf("release: %+v", a)
		}
		if a := b.action(vm, off); a.Pending() || a.Message != "" {
			t.Errorf("poweroff: %+v", a)
		}

		other := b.running("b")
		reboot, suspend := b.schedule(other, "reboot-hard", time.Minute, ""), b.schedule(other, "suspend", time.Minute, "")
		time.Sleep(time.Minute + time.Second)
		b.state(other, "RUNNING")
		if a := b.action(other, reboot); a.Pending() {
			t.Errorf("reboot: %+v", a)
		}
		if a := b.action(other, suspend); !a.Pending() || a.Message != "" {
			t.Errorf("suspend waits for its turn: %+v", a)
		}
		time.Sleep(20 * time.Second)
		b.WaitVM(other, one.VMSuspended, 0)
	})
}

func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		vm := b.running("a")
		id := b.schedule(vm, "reboot-hard", time.Hour, ", REPEAT=3, DAYS=2, END_TYPE=1, END_VALUE=3")
		first := b.action(vm, id).Time
		for n := range int64(3) {
			time.Sleep(time.Until(time.Unix(first+n*7200, 0)) + time.Second)
			synctest.Wait()
			a := b.action(vm, id)
			if a.Done != first+n*7200 || a.EndValue != 2-n || a.Pending() != (n < 2) {
				t.Fatalf("after %d times: %+v", n+1, a)
			}
			if next := first + min(n+1, 2)*7200; a.Time != next {
				t.Fatalf("after %d times it is due at %d, want %d", n+1, a.Time, next)
			}
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if a := b.action(vm, id); a.Done != first+2*7200 {
			t.Errorf("it goes on after its end: %+v", a)
		}
	})
}

// What was missed while no server ran is done once, by the next one; what had been
// done is not done again, also after a crash.
func TestMissedIsDoneOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		vm, other := b.running("a"), b.running("b")
		id := b.schedule(vm, "reboot-hard", time.Hour, ", REPEAT=3, DAYS=1")
		done := b.schedule(other, "suspend", time.Minute, "")
		first := b.action(vm, id).Time
		time.Sleep(2 * time.Minute)
		b.WaitVM(other, one.VMSuspended, 0)
		b.Stop()
		time.Sleep(10 * time.Hour)
		b.st.Crash()
		now := time.Now().Unix()
		b.Resume(b.st.Store)
		b.Wait("what was missed to be done", func(st *store.State) bool {
			s := st.Schedules.At(vm)
			return s.Actions[s.Find(id)].Done >= now
		})
		synctest.Wait()
		if a := b.action(vm, id); a.Time != first+10*3600 || a.Done > now+60 {
			t.Errorf("missed: %+v, first due at %d", a, first)
		}
		if err := b.Cloud.VMAction(b.Context(), b.Admin, other, "resume"); err != nil {
			t.Fatal(err)
		}
		b.WaitVM(other, one.VMActive, one.LCMRunning)
		time.Sleep(time.Minute)
		b.state(other, "RUNNING")
		if a := b.action(other, done); a.Pending() {
			t.Errorf("done before: %+v", a)
		}
	})
}

// While nothing is due nothing is written, however many VMs there are.
func TestWaitingIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		const vms = 1000
		at := time.Now().Add(2 * time.Hour).Unix()
		for from := 0; from < vms; from += 100 {
			b.Do(func(tx *store.Tx) {
				for i := range 100 {
					vm := 1000 + from + i
					tx.PutVM(&one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: vm}, State: one.VMHold, ServiceID: -1, VRouterID: -1, Template: b.parse("CPU=1 MEMORY=64")}})
					tx.PutSchedule(&one.Schedule{VM: vm, Actions: []one.SchedAction{{ID: vm, Action: "terminate", Time: at, First: at, Repeat: one.RepeatNone, EndType: one.EndNone, EndValue: -1, Done: -1}}})
				}
			})
		}
		synctest.Wait()
		before := b.st.View().Revision
		time.Sleep(time.Hour)
		synctest.Wait()
		if now := b.st.View().Revision; now != before {
			t.Errorf("%d revisions in an hour in which nothing was due", now-before)
		}
		time.Sleep(time.Hour)
		b.Wait("all VMs to end", func(st *store.State) bool { return st.DoneVMs.Len() == vms })
		if left := b.st.View().Schedules.Len(); left != 0 {
			t.Errorf("%d schedules of VMs that are done", left)
		}
	})
}

// Actions that are too large for one transaction together are done apart.
func TestLargeActionsAreDoneApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		const vms, nics = 20, 60
		at := time.Now().Add(time.Hour).Unix()
		ip := netip.MustParseAddr("10.0.0.0")
		b.Do(func(tx *store.Tx) {
			tx.PutVNet(&one.VNet{Meta: one.Meta{Name: "net"}, ParentID: -1, ARs: []one.AR{{Type: one.ARIP4, Size: vms * 256, MAC: one.MACOf(0x0200, ip), IP: ip, ParentAR: -1}}})
		})
		for vm := range vms {
			b.Do(func(tx *store.Tx) {
				var text strings.Builder
				text.WriteString("CPU=1 MEMORY=64\n")
				for n := range nics {
					fmt.Fprintf(&text, "NIC=[NIC_ID=%d, NETWORK_ID=0, AR_ID=0, IP=10.0.%d.%d, MAC=%s]\n", n, vm, n, one.MACOf(0x0200, netip.AddrFrom4([4]byte{10, 0, byte(vm), byte(n)})))
					tx.PutLease(&one.Lease{Net: 0, Index: uint32(vm*256 + n), Owner: one.LeaseVM, OwnerID: vm})
				}
				tx.PutVM(&one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: vm}, State: one.VMHold, ServiceID: -1, VRouterID: -1, Template: b.parse(text.String())}})
				tx.PutSchedule(&one.Schedule{VM: vm, Actions: []one.SchedAction{{ID: vm, Action: "terminate", Time: at, First: at, Repeat: one.RepeatNone, EndType: one.EndNone, EndValue: -1, Done: -1}}})
			})
		}
		time.Sleep(time.Hour + time.Second)
		b.Wait("all VMs to end", func(st *store.State) bool { return st.DoneVMs.Len() == vms })
	})
}
