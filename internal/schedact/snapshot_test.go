package schedact_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Snapshots are taken, gone back to and deleted at their times, by what ARGS say.
func TestScheduledSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		vm := b.running("a")
		b.schedule(vm, "snapshot-create", time.Hour, `, ARGS="before, and so on"`)
		b.schedule(vm, "snapshot-create", 2*time.Hour, "")
		b.schedule(vm, "snapshot-revert", 3*time.Hour, `, ARGS="0"`)
		b.schedule(vm, "snapshot-delete", 4*time.Hour, `, ARGS="1"`)
		names := func() (names []string, active string) {
			v, _ := b.st.View().VM(vm)
			for _, s := range v.Template.Vectors("SNAPSHOT") {
				names = append(names, s.Get("NAME"))
				if s.Bool("ACTIVE") {
					active = s.Get("NAME")
				}
			}
			return names, active
		}
		const first = "before, and so on"
		for i, want := range []struct{ all, active string }{
			{first, first}, {first + "|snapshot-1", "snapshot-1"}, {first + "|snapshot-1", first}, {first, first},
		} {
			time.Sleep(time.Hour + time.Second)
			b.state(vm, "RUNNING")
			all, active := names()
			if got := strings.Join(all, "|"); got != want.all || active != want.active {
				t.Errorf("hour %d: %q, %q is active, want %+v", i+1, got, active, want)
			}
		}
	})
}

// What ARGS do not say is refused, and said of the action.
func TestScheduledSnapshotsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.end()
		for action, c := range map[string]struct{ args, want string }{
			"snapshot-revert":      {"", `[snapshot-revert] ARGS "": expected snapshot`},
			"snapshot-delete":      {"0,1", `[snapshot-delete] ARGS "0,1": expected snapshot`},
			"disk-snapshot-create": {"x,clean", `[disk-snapshot-create] ARGS "x,clean": expected disk,name`},
			"disk-snapshot-revert": {"0", `[disk-snapshot-revert] ARGS "0": expected disk,snapshot`},
			"disk-snapshot-delete": {"0,-1", `[disk-snapshot-delete] ARGS "0,-1": expected disk,snapshot`},
		} {
			vm := b.running(action)
			id := b.schedule(vm, action, time.Hour, `, ARGS="`+c.args+`"`)
			time.Sleep(time.Hour + time.Second)
			b.state(vm, "RUNNING")
			if a := b.action(vm, id); !strings.HasSuffix(a.Message, c.want) || a.Done != -1 {
				t.Errorf("%s: %q, want %q", action, a.Message, c.want)
			}
		}
		vm := b.running("disks")
		id := b.schedule(vm, "disk-snapshot-create", time.Hour, `, ARGS="0,clean"`)
		time.Sleep(time.Hour + time.Second)
		b.state(vm, "RUNNING")
		if a := b.action(vm, id); !strings.HasSuffix(a.Message, "VM disk does not exist") {
			t.Errorf("a disk that is not there: %q", a.Message)
		}
		if v, _ := b.st.View().VM(vm); v.SnapshotWork != (one.SnapshotWork{}) {
			t.Error("the host is at it all the same")
		}
	})
}
