package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

// TestFullDisk fills the disk under a server that writes. It says so and ends;
// what it has acknowledged is there when it is started again with room, and
// nothing is there by half.
func TestFullDisk(t *testing.T) {
	c := newRealCloud(t)
	c.driver = "{driver: sim}"
	if err := os.Mkdir(c.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	// etcd sets some 130 MB aside.
	if err := unix.Mount("tmpfs", c.dir, "tmpfs", 0, "size=256m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(c.dir, 0); err != nil {
			t.Error(err)
		}
	})
	c.up("")
	fill(t, filepath.Join(c.dir, "filler"))
	acknowledged := map[int]bool{}
	large := strings.Repeat("x", 64<<10)
	var err error
	for err == nil {
		var r client.Result
		if r, err = c.core.Call(c.ctx, "template.allocate", fmt.Sprintf("NAME=t%d\nSIZE=%q", len(acknowledged), large)); err == nil {
			acknowledged[r.Int] = true
		}
	}
	if conn := (*client.ConnError)(nil); !errors.As(err, &conn) {
		t.Errorf("on a full disk a caller is told %v", err)
	}
	c.failed("the disk of the data directory is full: make room and start again")
	c.start("")
	c.failed("no space left on device")

	if err := os.Remove(filepath.Join(c.dir, "filler")); err != nil {
		t.Fatal(err)
	}
	c.up("")
	pool, err := c.core.Doc(c.ctx, "templatepool.info", client.All, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]*doc.Node{}
	for _, n := range pool.All("VMTEMPLATE") {
		all[int(n.Int("ID"))] = n
		if n.Get("NAME") == "" || n.Get("TEMPLATE/SIZE") != large {
			t.Errorf("template %s is there by half", n.Get("ID"))
		}
	}
	for id := range acknowledged {
		if all[id] == nil {
			t.Errorf("template %d was acknowledged and is lost", id)
		}
	}
	if len(all) > len(acknowledged)+1 {
		t.Errorf("%d templates are there, %d were acknowledged", len(all), len(acknowledged))
	}
	c.call("template.allocate", "NAME=later\nCPU=0.1\nMEMORY=8")
	c.untilHost(0, one.HostMonitored)
	c.down()
}

// fill writes a file as large as the disk lets it.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// failed waits until the server has ended by itself, and said why.
func (c *realCloud) failed(why string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, deadline)
	defer cancel()
	select {
	case err := <-c.ended:
		if err == nil {
			c.t.Error("the server has ended as if it had been asked to")
		}
	case <-ctx.Done():
		c.t.Fatal("the server goes on")
	}
	c.cmd = nil
	if !strings.Contains(c.log.String(), why) {
		c.t.Errorf("the log does not say %q", why)
	}
}

// untilHost waits until a host is in a state.
func (c *realCloud) untilHost(id int, state one.HostState) {
	c.t.Helper()
	c.until(fmt.Sprintf("host %d in state %d", id, state), "host.info", id, func(n *doc.Node) bool { return n.Int("STATE") == int64(state) })
}
