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
	return d.onDiskSnapshot(ctx, "take a snapshot of disk %d of", m, dir, s, "blockdev-snapshot-internal-sync", false)
}

// DeleteDiskSnapshot implements hypervisor.Snapshotter.
func (d *Driver) DeleteDiskSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	return d.onDiskSnapshot(ctx, "delete a snapshot of disk %d of", m, dir, s, "blockdev-snapshot-delete-internal-sync", true)
}

// onDiskSnapshot has QEMU do something about a snapshot if it is there as wanted.
func (d *Driver) onDiskSnapshot(ctx context.Context, what string, m *agentapi.Machine, dir string, s agentapi.Snapshot, command string, wanted bool) error {
	return running(ctx, d.calls.do, d.cfg.SaveTime, fmt.Sprintf(what, s.Disk), m.Domain, func(l *rpc.Libvirt, dom rpc.Domain) error {
		node, names, err := blockNode(l, dom, filepath.Join(dir, "disk."+strconv.Itoa(s.Disk)))
		if err != nil || slices.Contains(names, s.Name) != wanted {
			return err
		}
		return monitor(l, dom, command, map[string]string{"device": node, "name": s.Name}, nil)
	})
}

// blockNode finds what QEMU calls a disk's file in format qcow2, and the snapshots in
// it.
func blockNode(l *rpc.Libvirt, dom rpc.Domain, path string) (node string, names []string, err error) {
	var nodes []struct {
		Name   string `json:"node-name"`
		File   string `json:"file"`
		Driver string `json:"drv"`
		Image  struct {
			Snapshots []struct {
				Name string `json:"name"`
			} `json:"snapshots"`
		} `json:"image"`
	}
	if err := monitor(l, dom, "query-named-block-nodes", nil, &nodes); err != nil {
		return "", nil, err
	}
	for _, n := range nodes {
		if n.Driver != "qcow2" || n.File != path {
			continue
		}
		for _, s := range n.Image.Snapshots {
			names = append(names, s.Name)
		}
		return n.Name, names, nil
	}
	return "", nil, fmt.Errorf("the domain has no disk %s in format qcow2", path)
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
