package libvirt

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt/domainxml"
)

// Probe finds out whether domains can use the processor's virtualization. That
// there is a /dev/kvm, or that libvirt offers it, is no proof: on some machines,
// virtual ones above all, guests then hang or die. So a kernel is booted.
type Probe struct {
	Force    string // domainxml.KVM or QEMU: the answer; "" to find out
	Kernel   string // an image to boot; that of the host when empty
	Emulator string // "qemu-system-x86_64" when empty
	Cache    string // file that keeps the answer until the host boots again; "" for none
	// Time is how long the kernel may take; 10 s when 0.
	Time time.Duration

	accel  string // "kvm"
	proc   string // "/proc"
	bootID string // file with what names this boot of the host
}

// verdict is an answer and its reason.
type verdict struct {
	BootID string `json:"boot_id"`
	Kernel string `json:"kernel"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// Find returns the type domains shall have, and why, for the log. It takes Time
// at most. An error is about the cache or the context: the type is usable still.
func (p Probe) Find(ctx context.Context) (typ, reason string, err error) {
	if p.Force != "" {
		if p.Force != domainxml.KVM && p.Force != domainxml.QEMU {
			return domainxml.QEMU, "", fmt.Errorf("domain type %q: expected %s or %s", p.Force, domainxml.KVM, domainxml.QEMU)
		}
		return p.Force, "it is configured", nil
	}
	p.Emulator = cmp.Or(p.Emulator, "qemu-system-x86_64")
	p.Time = cmp.Or(p.Time, 10*time.Second)
	p.accel = cmp.Or(p.accel, "kvm")
	p.proc = cmp.Or(p.proc, procfs.DefaultMountPoint)
	p.bootID = cmp.Or(p.bootID, "/proc/sys/kernel/random/boot_id")
	if p.Kernel == "" {
		p.Kernel = hostKernel()
	}
	now := verdict{Type: domainxml.QEMU, Kernel: p.Kernel}
	if able, err := p.processorAble(); err != nil || !able {
		return now.Type, "the processor has neither vmx nor svm", err
	}
	if p.Kernel == "" {
		return now.Type, "there is no kernel to try it with", nil
	}
	id, err := os.ReadFile(p.bootID)
	if err != nil {
		return now.Type, "this boot of the host has no name", fmt.Errorf("probe: %w", err)
	}
	now.BootID = string(bytes.TrimSpace(id))
	if old, ok := p.cached(); ok && old.BootID == now.BootID && old.Kernel == now.Kernel {
		return old.Type, old.Reason, nil
	}
	err = p.boot(ctx)
	if ctx.Err() != nil { // says nothing of the host
		return now.Type, "the probe was cut", context.Cause(ctx)
	}
	if err == nil {
		now.Type, now.Reason = domainxml.KVM, "a kernel boots with it"
	} else {
		now.Reason = fmt.Sprintf("a kernel does not boot with it: %v", err)
	}
	return now.Type, now.Reason, p.keep(now)
}

// hostKernel is the image of the kernel this host runs, "" if it is not there.
func hostKernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	path := "/boot/vmlinuz-" + strings.TrimSpace(string(release))
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// processorAble tells whether the processor says it has virtualization.
func (p Probe) processorAble() (bool, error) {
	proc, err := procfs.NewFS(p.proc)
	if err != nil {
		return false, fmt.Errorf("probe: %w", err)
	}
	cpus, err := proc.CPUInfo()
	if err != nil {
		return false, fmt.Errorf("probe: %w", err)
	}
	for _, cpu := range cpus {
		for _, flag := range cpu.Flags {
			if flag == "vmx" || flag == "svm" {
				return true, nil
			}
		}
	}
	return false, nil
}

// bootMarker is what a kernel without a root file system says in the end: that
// it came this far shows that processor, memory, timer and interrupts work.
const bootMarker = "Kernel panic - not syncing"

// boot boots the kernel and waits for its marker.
func (p Probe) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.Time)
	defer cancel()
	var complaint limited
	cmd := exec.CommandContext(ctx, p.Emulator, "-accel", p.accel, "-machine", "pc", "-m", "256", "-nodefaults", "-no-user-config",
		"-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", p.Kernel, "-append", "console=ttyS0 panic=0")
	cmd.Stderr = &complaint
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	booted := saysMarker(out)
	cancel() // the kernel stands still after its panic
	ended := cmd.Wait()
	switch {
	case booted:
		return nil
	case complaint.Len() > 0:
		return errors.New(strings.TrimSpace(complaint.String()))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("not within %v", p.Time)
	}
	return fmt.Errorf("%s ended early: %w", p.Emulator, ended)
}

// saysMarker reads a console until the marker or its end.
func saysMarker(r io.Reader) bool {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), bootMarker) {
			return true
		}
	}
	return false
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 1024 - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// cached returns the answer of before. One that cannot be read is none.
func (p Probe) cached() (v verdict, ok bool) {
	if p.Cache == "" {
		return v, false
	}
	data, err := os.ReadFile(p.Cache)
	if err != nil || len(data) > 64<<10 || json.Unmarshal(data, &v) != nil {
		return v, false
	}
	return v, v.Type == domainxml.KVM || v.Type == domainxml.QEMU
}

// keep writes the answer down.
func (p Probe) keep(v verdict) error {
	if p.Cache == "" {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("probe: keep the answer: %w", err)
	}
	tmp := p.Cache + ".new"
	err = os.WriteFile(tmp, data, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(p.Cache), 0o700); err == nil {
			err = os.WriteFile(tmp, data, 0o600)
		}
	}
	if err == nil {
		err = os.Rename(tmp, p.Cache)
	}
	if err != nil {
		return fmt.Errorf("probe: keep the answer: %w", err)
	}
	return nil
}
