package guest

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/test/ns"
)

// TestLibvirtComesAndGoes starts a cloud before libvirt is there, and takes
// libvirt away in the middle of operations. They wait and end well; a guest that
// died meanwhile is found out; nobody has to repair anything.
func TestLibvirtComesAndGoes(t *testing.T) {
	c := newRealCloud(t)
	c.up("")
	c.logged("libvirt is not there yet", 1)
	c.untilHost(0, one.HostInit)
	daemon := ns.Libvirtd(t)
	c.untilHost(0, one.HostMonitored)
	c.furnish()
	first := c.instantiate()
	c.untilVM(first, vmRunning)

	away := func(before int) {
		t.Helper()
		if err := daemon.Kill(); err != nil {
			t.Fatal(err)
		}
		c.logged("no events of domains", before+1)
	}
	back := func() {
		t.Helper()
		if err := daemon.Restart(c.ctx); err != nil {
			t.Fatal(err)
		}
	}
	const events = 1 // it was not there in the beginning
	away(events)
	second := c.instantiate()
	c.untilVM(second, "3/2") // BOOT: its disks are there, its domain is not
	c.call("vm.action", "terminate-hard", first)
	c.until("VM 0 leaves RUNNING", "vm.info", first, func(n *doc.Node) bool { return n.Get("LCM_STATE") != "3" })
	back()
	c.untilVM(second, vmRunning)
	c.untilVM(first, "6/0") // DONE

	away(events + 1)
	if err := killGuest("one-1"); err != nil {
		t.Fatal(err)
	}
	back()
	c.untilVM(second, "8/0") // POWEROFF
	c.call("vm.action", "resume", second)
	c.untilVM(second, vmRunning)
	c.call("vm.action", "terminate-hard", second)
	c.untilVM(second, "6/0")
	c.down()
	if strings.Contains(c.log.String(), "level=ERROR") {
		t.Error("errors were logged")
	}
}

// logged waits until a line was logged so many times.
func (c *realCloud) logged(line string, times int) {
	c.t.Helper()
	for strings.Count(c.log.String(), line) < times {
		select {
		case <-c.log.more:
		case <-c.ctx.Done():
			c.t.Fatalf("not logged %d times: %s", times, line)
		}
	}
}
