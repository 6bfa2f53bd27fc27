package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// libvirt offers no internal snapshot of a disk without the memory, QEMU does: it is
// asked through libvirt.

// CreateDiskSnapshot implements hypervisor.Snapshotter. What the guest has not
// written yet is not in it.
func (d *Driver) CreateDiskSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	return d.onDisk(ctx, "take a snapshot of disk %d of", m, dir, s, func(l *rpc.Libvirt, dom rpc.Domain, disk blockNode) error {
		taken, there := disk.taken(s.Name)
		if there && taken >= s.Begun {
			return nil // before the answer was lost
		}
		if there { // it was given up
			if err := disk.forget(l, dom, s.Name); err != nil {
				return fmt.Errorf("delete what is left of an older snapshot: %w", err)
			}
		}
		return monitor(l, dom, "blockdev-snapshot-internal-sync", map[string]string{"device": disk.Name, "name": s.Name}, nil)
	})
}

// DeleteDiskSnapshot implements hypervisor.Snapshotter.
func (d *Driver) DeleteDiskSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	return d.onDisk(ctx, "delete a snapshot of disk %d of", m, dir, s, func(l *rpc.Libvirt, dom rpc.Domain, disk blockNode) error {
		return disk.forget(l, dom, s.Name)
	})
}

func (d *Driver) onDisk(ctx context.Context, what string, m *agentapi.Machine, dir string, s agentapi.Snapshot, f func(*rpc.Libvirt, rpc.Domain, blockNode) error) error {
	return running(ctx, d.calls.do, d.cfg.SaveTime, fmt.Sprintf(what, s.Disk), m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		nodes, err := blockNodes(l, dom)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, "disk."+strconv.Itoa(s.Disk))
		i := slices.IndexFunc(nodes, func(n blockNode) bool { return n.File == path })
		if i < 0 {
			return fmt.Errorf("the domain has no disk %s in format qcow2", path)
		}
		return f(l, dom, nodes[i])
	})
}

// blockNode is what QEMU tells of a file in format qcow2.
type blockNode struct {
	Name   string `json:"node-name"`
	File   string `json:"file"`
	Driver string `json:"drv"`
	Image  struct {
		Snapshots []struct {
			Name  string `json:"name"`
			Sec   int64  `json:"date-sec"`
			Nanos int64  `json:"date-nsec"`
		} `json:"snapshots"`
	} `json:"image"`
}

// blockNodes returns the files in format qcow2 that a domain uses.
func blockNodes(l *rpc.Libvirt, dom rpc.Domain) (nodes []blockNode, err error) {
	err = monitor(l, dom, "query-named-block-nodes", nil, &nodes)
	return slices.DeleteFunc(nodes, func(n blockNode) bool { return n.Driver != "qcow2" }), err
}

// taken returns when a snapshot in the file was taken, epoch milliseconds, false when
// there is none.
func (n blockNode) taken(name string) (at int64, there bool) {
	for _, s := range n.Image.Snapshots {
		if s.Name == name {
			return s.Sec*1e3 + s.Nanos/1e6, true
		}
	}
	return 0, false
}

// forget deletes a snapshot in the file; one that is not there is a success.
func (n blockNode) forget(l *rpc.Libvirt, dom rpc.Domain, name string) error {
	if _, there := n.taken(name); !there {
		return nil
	}
	return monitor(l, dom, "blockdev-snapshot-delete-internal-sync", map[string]string{"device": n.Name, "name": name}, nil)
}

// monitor lets QEMU do a command, and reads what it returns unless into is nil.
func monitor(l *rpc.Libvirt, dom rpc.Domain, command string, arguments map[string]string, into any) error {
	text, err := json.Marshal(struct {
		Execute   string            `json:"execute"`
		Arguments map[string]string `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	answer, err := l.QEMUDomainMonitorCommand(dom, string(text), 0)
	if err != nil {
		return err
	}
	var reply struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	switch err := json.Unmarshal([]byte(answer), &reply); {
	case err != nil:
		return fmt.Errorf("read QEMU's answer to %s: %w", command, err)
	case reply.Error != nil:
		return errors.New(reply.Error.Desc)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(reply.Return, into); err != nil {
		return fmt.Errorf("read QEMU's answer to %s: %w", command, err)
	}
	return nil
}
