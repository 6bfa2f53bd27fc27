package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/durable"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// Snapshots are internal ones: memory and disks are kept in the qcow2 files
// themselves, so that they move and end with them. What libvirt knows of them it
// forgets with the domain, so its description of each is kept beside the disks and
// told to it again.

var _ hypervisor.Snapshotter = (*Driver)(nil)

// CreateSnapshot implements hypervisor.Snapshotter. The guest stands still while it
// is taken.
func (d *Driver) CreateSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	doc, err := xml.Marshal(snapshotDoc{Name: s.Name, Description: strconv.FormatInt(s.Begun, 10), Memory: memoryDoc{"internal"}})
	if err != nil {
		return err
	}
	return d.onSnapshots(ctx, "take a snapshot of", m, func(l *rpc.Libvirt, dom rpc.Domain) error {
		snap, known, err := recall(l, dom, m, dir, s.Name)
		if err != nil {
			return err
		}
		if known {
			now, err := l.DomainSnapshotGetXMLDesc(snap, 0)
			if err != nil {
				return err
			}
			var is snapshotDoc
			if err := xml.Unmarshal([]byte(now), &is); err != nil {
				return fmt.Errorf("read snapshot %s: %w", s.Name, err)
			}
			if is.Description == strconv.FormatInt(s.Begun, 10) {
				return remember(l, snap, dir) // taken before the answer was lost
			}
			if err := l.DomainSnapshotDelete(snap, 0); err != nil {
				return fmt.Errorf("delete what is left of an older snapshot: %w", err)
			}
		} else if err := forgetUnknown(l, dom, dir, s.Name); err != nil {
			return fmt.Errorf("delete what is left of an older snapshot: %w", err)
		}
		if snap, err = l.DomainSnapshotCreateXML(dom, string(doc), 0); err != nil {
			return err
		}
		return remember(l, snap, dir)
	})
}

// RevertSnapshot implements hypervisor.Snapshotter. libvirt starts the domain anew
// from the snapshot; it refuses, before anything has happened, when the domain has
// other devices now.
func (d *Driver) RevertSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	return d.onSnapshots(ctx, "revert to a snapshot of", m, func(l *rpc.Libvirt, dom rpc.Domain) error {
		snap, known, err := recall(l, dom, m, dir, s.Name)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("there is no snapshot %s", s.Name)
		}
		err = l.DomainRevertToSnapshot(snap, uint32(rpc.DomainSnapshotRevertRunning))
		if hasCode(err, rpc.ErrSnapshotRevertRisky) {
			return fmt.Errorf("the VM had other devices when the snapshot was taken: %w", err)
		}
		return err
	})
}

// DeleteSnapshot implements hypervisor.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, m *agentapi.Machine, dir string, s agentapi.Snapshot) error {
	return d.onSnapshots(ctx, "delete a snapshot of", m, func(l *rpc.Libvirt, dom rpc.Domain) error {
		snap, known, err := recall(l, dom, m, dir, s.Name)
		if err != nil {
			return err
		}
		if known {
			if err := l.DomainSnapshotDelete(snap, 0); err != nil && !hasCode(err, rpc.ErrNoDomainSnapshot) {
				return err
			}
		}
		return durable.Remove(describedIn(dir, s.Name))
	})
}

func (d *Driver) onSnapshots(ctx context.Context, what string, m *agentapi.Machine, f func(*rpc.Libvirt, rpc.Domain) error) error {
	return running(ctx, d.calls.do, d.cfg.SaveTime, what, m.Domain, f)
}

// snapshotDoc is what is read and written of libvirt's description of a snapshot:
// Description tells when it was asked for.
type snapshotDoc struct {
	XMLName     xml.Name  `xml:"domainsnapshot"`
	Name        string    `xml:"name"`
	Description string    `xml:"description"`
	Memory      memoryDoc `xml:"memory"`
}

type memoryDoc struct {
	Snapshot string `xml:"snapshot,attr"`
}

// describedIn is where the description of a snapshot is kept.
func describedIn(dir, name string) string { return filepath.Join(dir, name+".xml") }

// maxDescription bounds the description of a snapshot, which holds the domain's.
const maxDescription = 1 << 20

// parentOf finds what a description says of the snapshot before: libvirt takes it
// back only if it knows that one, and all we need is each by itself.
var parentOf = regexp.MustCompile(`(?s)\s*<parent>.*?</parent>`)

// remember keeps the description of a snapshot, passwords included: the domain that
// is started from it gets them back.
func remember(l *rpc.Libvirt, snap rpc.DomainSnapshot, dir string) error {
	doc, err := l.DomainSnapshotGetXMLDesc(snap, uint32(rpc.DomainSnapshotXMLSecure))
	if err != nil {
		return err
	}
	if len(doc) > maxDescription {
		return fmt.Errorf("the description of snapshot %s has %d bytes, expected at most %d", snap.Name, len(doc), maxDescription)
	}
	return durable.WriteFile(describedIn(dir, snap.Name), parentOf.ReplaceAll([]byte(doc), nil))
}

// forgetUnknown deletes a snapshot that libvirt does not know from the disks' files:
// it was being taken when the domain ended, or is of a VM that had a disk before.
// libvirt takes none of that name from release 10.10 on.
func forgetUnknown(l *rpc.Libvirt, dom rpc.Domain, dir, name string) error {
	nodes, err := blockNodes(l, dom)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if filepath.Dir(n.File) != filepath.Clean(dir) {
			continue // an image that a disk is an overlay of
		}
		if err := n.forget(l, dom, name); err != nil {
			return err
		}
	}
	return nil
}

// portOf finds the port of a display in a description.
var portOf = regexp.MustCompile(`(<graphics type='[a-z]+' port=')[0-9]+'`)

// atPort returns a description with the display at the port that the VM has now: by
// that of an older deployment another VM may be reached.
func atPort(doc, port string) string {
	if n, err := strconv.Atoi(port); err != nil || n <= 0 {
		return doc
	}
	return portOf.ReplaceAllString(doc, "${1}"+port+"'")
}

// recall looks a snapshot up, and tells libvirt of one that it has forgotten.
func recall(l *rpc.Libvirt, dom rpc.Domain, m *agentapi.Machine, dir, name string) (snap rpc.DomainSnapshot, known bool, err error) {
	snap, err = l.DomainSnapshotLookupByName(dom, name, 0)
	if err == nil || !hasCode(err, rpc.ErrNoDomainSnapshot) {
		return snap, err == nil, err
	}
	doc, err := os.ReadFile(describedIn(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return rpc.DomainSnapshot{}, false, nil
	}
	if err != nil {
		return rpc.DomainSnapshot{}, false, err
	}
	var saved struct {
		Domain savedDomain `xml:"domain"`
	}
	if err := xml.Unmarshal(doc, &saved); err != nil {
		return rpc.DomainSnapshot{}, false, fmt.Errorf("read the description of snapshot %s: %w", name, err)
	}
	text := atPort(string(doc), m.Template.Vector("GRAPHICS").Get("PORT"))
	if moved := saved.Domain.moveTo(text, dir); len(moved) > 0 {
		text = moved[0]
	}
	snap, err = l.DomainSnapshotCreateXML(dom, text, uint32(rpc.DomainSnapshotCreateRedefine))
	return snap, err == nil, err
}
