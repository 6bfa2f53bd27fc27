package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	rpc "github.com/digitalocean/go-libvirt"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
)

// Start implements hypervisor.Driver.
func (d *Driver) Start(ctx context.Context, m *agentapi.Machine, dir string) (deployID string, err error) {
	doc, err := d.document(m, dir)
	if err != nil {
		return "", err
	}
	err = d.calls.do(ctx, "start "+m.Domain, d.cfg.StartTime, func(l *rpc.Libvirt) error {
		deployID, err = bringUp(ctx, l, m.Domain, func() error {
			_, err := l.DomainCreateXML(doc, 0)
			return err
		})
		return err
	})
	return deployID, err
}

// Restore implements hypervisor.Driver. The domain is as it was saved, but for
// its directory, which may be another now.
func (d *Driver) Restore(ctx context.Context, m *agentapi.Machine, dir, path string) (deployID string, err error) {
	err = d.calls.do(ctx, "restore "+m.Domain, d.cfg.StartTime, func(l *rpc.Libvirt) error {
		deployID, err = bringUp(ctx, l, m.Domain, func() error {
			if saved, err := isSaved(path); err != nil {
				return err
			} else if !saved {
				return fmt.Errorf("%s holds no whole memory", path)
			}
			doc, err := l.DomainSaveImageGetXMLDesc(path, uint32(rpc.DomainSaveImageXMLSecure))
			if err != nil {
				return err
			}
			moved, err := moveTo(doc, dir)
			if err != nil {
				return err
			}
			return l.DomainRestoreFlags(path, moved, uint32(rpc.DomainSaveRunning))
		})
		return err
	})
	return deployID, err
}

// pollTime is how often a domain is looked at that someone else is starting.
const pollTime = 200 * time.Millisecond

// bringUp returns the domain's UUID, and has it started by start if it is not
// there. A start whose caller gave up goes on in libvirt, and is waited for.
func bringUp(ctx context.Context, l *rpc.Libvirt, name string, start func() error) (string, error) {
	for {
		dom, err := l.DomainLookupByName(name)
		if err == nil {
			state, reason, err := l.DomainGetState(dom, 0)
			if err != nil && !hasCode(err, rpc.ErrNoDomain) {
				return "", err
			}
			_, present := stateOf(state, reason)
			switch {
			case err == nil && rpc.DomainState(state) == rpc.DomainPaused && rpc.DomainPausedReason(reason) == rpc.DomainPausedStartingUp:
				wait := time.NewTimer(pollTime)
				select {
				case <-wait.C:
					continue
				case <-ctx.Done():
					wait.Stop()
					return "", context.Cause(ctx)
				}
			case err == nil && present:
				return uuidOf(dom), nil
			case err == nil: // left behind by other tools
				if err := undefine(l, dom); err != nil {
					return "", err
				}
			}
		} else if !hasCode(err, rpc.ErrNoDomain) {
			return "", err
		}
		if err := start(); err != nil {
			if _, state, again := find(l, name); again == nil && state != "" {
				continue // someone else was faster
			}
			return "", err
		}
	}
}

// undefine makes libvirt forget a domain that does not run.
func undefine(l *rpc.Libvirt, dom rpc.Domain) error {
	err := l.DomainUndefineFlags(dom, rpc.DomainUndefineManagedSave|rpc.DomainUndefineSnapshotsMetadata|rpc.DomainUndefineKeepNvram)
	if hasCode(err, rpc.ErrNoDomain) {
		return nil
	}
	return err
}

// Destroy implements hypervisor.Driver.
func (d *Driver) Destroy(ctx context.Context, domain string) error {
	return d.calls.do(ctx, "destroy "+domain, d.cfg.StartTime, func(l *rpc.Libvirt) error {
		dom, err := l.DomainLookupByName(domain)
		if hasCode(err, rpc.ErrNoDomain) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.DomainDestroyFlags(dom, rpc.DomainDestroyDefault); err != nil && !hasCode(err, rpc.ErrNoDomain, rpc.ErrOperationInvalid) {
			return err
		}
		persistent, err := l.DomainIsPersistent(dom)
		if hasCode(err, rpc.ErrNoDomain) || err == nil && persistent == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		return undefine(l, dom)
	})
}

// Shutdown implements hypervisor.Driver. It does not wait for a libvirt that is
// away: the request is repeated anyway.
func (d *Driver) Shutdown(ctx context.Context, domain string) error {
	return running(ctx, d.calls.call, d.cfg.CallTime, "shut down", domain, func(l *rpc.Libvirt, dom rpc.Domain) error { return l.DomainShutdown(dom) })
}

// Reboot implements hypervisor.Driver.
func (d *Driver) Reboot(ctx context.Context, domain string) error {
	return d.onRunning(ctx, "reboot", domain, func(l *rpc.Libvirt, dom rpc.Domain) error { return l.DomainReboot(dom, 0) })
}

// Reset implements hypervisor.Driver.
func (d *Driver) Reset(ctx context.Context, domain string) error {
	return d.onRunning(ctx, "reset", domain, func(l *rpc.Libvirt, dom rpc.Domain) error { return l.DomainReset(dom, 0) })
}

// onRunning does something to a domain that runs; ErrNoDomain when it does not,
// or no more.
func (d *Driver) onRunning(ctx context.Context, what, domain string, f func(*rpc.Libvirt, rpc.Domain) error) error {
	return running(ctx, d.calls.do, d.cfg.CallTime, what, domain, f)
}

// caller is pool.call or pool.do.
type caller func(ctx context.Context, what string, limit time.Duration, f func(*rpc.Libvirt) error) error

func running(ctx context.Context, call caller, limit time.Duration, what, domain string, f func(*rpc.Libvirt, rpc.Domain) error) error {
	return call(ctx, what+" "+domain, limit, func(l *rpc.Libvirt) error {
		dom, _, err := find(l, domain)
		if err != nil {
			return err
		}
		if err := f(l, dom); err != nil {
			if _, _, now := find(l, domain); errors.Is(now, hypervisor.ErrNoDomain) {
				return now
			}
			return err
		}
		return nil
	})
}

// Save implements hypervisor.Driver. A save that is given up is called off, and
// the domain runs on.
func (d *Driver) Save(ctx context.Context, domain, path string) error {
	err := d.calls.do(ctx, "save "+domain, d.cfg.SaveTime, func(l *rpc.Libvirt) error {
		dom, _, err := find(l, domain)
		if errors.Is(err, hypervisor.ErrNoDomain) {
			if saved, look := isSaved(path); look == nil && saved {
				return nil
			}
		}
		if err != nil {
			return err
		}
		return l.DomainSaveFlags(dom, path, nil, uint32(rpc.DomainSaveRunning))
	})
	if err != nil && (ctx.Err() != nil || errors.Is(err, errSlow)) {
		err = errors.Join(err, d.callOff(domain))
	}
	return err
}

// callOff ends the job of a domain whose caller has gone.
func (d *Driver) callOff(domain string) error {
	return d.calls.call(context.Background(), "call off the save of "+domain, d.cfg.CallTime, func(l *rpc.Libvirt) error {
		dom, _, err := find(l, domain)
		if err == nil {
			err = l.DomainAbortJob(dom)
		}
		if errors.Is(err, hypervisor.ErrNoDomain) || hasCode(err, rpc.ErrNoDomain, rpc.ErrOperationInvalid) {
			return nil // it was saved after all, or never began
		}
		return err
	})
}

// savedMagic begins a file with a memory that was saved to its end; one that is
// being written begins otherwise.
const savedMagic = "LibvirtQemudSave"

// isSaved tells whether a file holds a whole memory.
func isSaved(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(savedMagic))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return bytes.Equal(head, []byte(savedMagic)), nil
}

// moveTo is what a saved domain has to become to run in dir: nil when it is there
// already. The document is changed as text, so that nothing libvirt has written
// is lost.
func moveTo(doc, dir string) (rpc.OptString, error) {
	var saved savedDomain
	if err := xml.Unmarshal([]byte(doc), &saved); err != nil {
		return nil, fmt.Errorf("read the saved domain: %w", err)
	}
	return saved.moveTo(doc, dir), nil
}

// savedDomain is what is read of a domain that may run elsewhere now.
type savedDomain struct {
	Disks []struct {
		Source struct {
			File string `xml:"file,attr"`
			Dev  string `xml:"dev,attr"`
		} `xml:"source"`
	} `xml:"devices>disk"`
}

// moveTo is moveTo for a document in which the domain is.
func (s savedDomain) moveTo(doc, dir string) rpc.OptString {
	for _, disk := range s.Disks {
		for _, path := range []string{disk.Source.File, disk.Source.Dev} {
			if !strings.HasPrefix(filepath.Base(path), "disk.") {
				continue
			}
			was := filepath.Dir(path)
			if was == filepath.Clean(dir) {
				return nil
			}
			return rpc.OptString{strings.ReplaceAll(doc, was+"/", filepath.Clean(dir)+"/")}
		}
	}
	return nil
}

// State implements hypervisor.Driver. It is part of other operations, and waits
// for a libvirt that is away as they do.
func (d *Driver) State(ctx context.Context, domain string) (state agentapi.DomainState, err error) {
	err = d.calls.do(ctx, "look up "+domain, d.cfg.CallTime, func(l *rpc.Libvirt) error {
		_, state, err = find(l, domain)
		return err
	})
	return state, err
}

// List implements hypervisor.Driver.
func (d *Driver) List(ctx context.Context) (all []agentapi.Event, err error) {
	err = d.calls.call(ctx, "list domains", d.cfg.CallTime, func(l *rpc.Libvirt) error {
		all, err = list(l)
		return err
	})
	return all, err
}

// list is the state of all domains, by one call that waits for none of them.
func list(l *rpc.Libvirt) ([]agentapi.Event, error) {
	records, err := l.ConnectGetAllDomainStats(nil, uint32(rpc.DomainStatsState),
		uint32(rpc.ConnectGetAllDomainsStatsActive|rpc.ConnectGetAllDomainsStatsNowait))
	if err != nil {
		return nil, err
	}
	all := make([]agentapi.Event, 0, len(records))
	for _, r := range records {
		p := params(r.Params)
		if state, present := stateOf(int32(p.number("state.state")), int32(p.number("state.reason"))); present {
			all = append(all, eventOf(r.Dom, state))
		}
	}
	return all, nil
}
