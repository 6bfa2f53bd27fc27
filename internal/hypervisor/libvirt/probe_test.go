package libvirt

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/hypervisor/libvirt/domainxml"
)

// host is a directory that stands for a host: a processor with or without
// virtualization, a name of its boot, an emulator.
func host(t *testing.T, flags, emulator string) (p Probe, runs func() int) {
	t.Helper()
	dir := t.TempDir()
	count := filepath.Join(dir, "runs")
	for name, content := range map[string]string{
		"cpuinfo":  "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Test\nflags\t\t: fpu " + flags + "\n\n",
		"boot_id":  "one\n",
		"kernel":   "k",
		"emulator": "#!/bin/sh\necho run >> " + count + "\n" + emulator + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p = Probe{
		Kernel: filepath.Join(dir, "kernel"), Emulator: filepath.Join(dir, "emulator"), Cache: filepath.Join(dir, "state", "probe"),
		proc: dir, bootID: filepath.Join(dir, "boot_id"), Time: time.Minute,
	}
	return p, func() int {
		data, err := os.ReadFile(count)
		if err != nil {
			return 0
		}
		return strings.Count(string(data), "run")
	}
}

const boots = "echo 'Linux version 6'; echo '[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs'; exec sleep 1000"

func TestProbe(t *testing.T) {
	for name, test := range map[string]struct {
		flags, emulator string
		change          func(p *Probe)
		want, reason    string
		runs            int
	}{
		"boots":     {"vmx", boots, nil, domainxml.KVM, "a kernel boots with it", 1},
		"amd":       {"svm", boots, nil, domainxml.KVM, "", 1},
		"no flags":  {"vme svmx", boots, nil, domainxml.QEMU, "neither vmx nor svm", 0},
		"fails":     {"vmx", "echo 'no accelerator found' >&2; exit 1", nil, domainxml.QEMU, "no accelerator found", 1},
		"dies":      {"vmx", "echo 'Linux version 6'", nil, domainxml.QEMU, "ended early", 1},
		"hangs":     {"vmx", "exec sleep 1000", func(p *Probe) { p.Time = 50 * time.Millisecond }, domainxml.QEMU, "not within 50ms", 1},
		"no kernel": {"vmx", boots, func(p *Probe) { p.Kernel = "" }, domainxml.QEMU, "", 0},
		"absent":    {"vmx", boots, func(p *Probe) { p.Emulator += "x" }, domainxml.QEMU, "no such file", 0},
		"force kvm": {"", boots, func(p *Probe) { p.Force = "kvm" }, domainxml.KVM, "configured", 0},
		"force not": {"vmx", boots, func(p *Probe) { p.Force = "qemu" }, domainxml.QEMU, "configured", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, runs := host(t, test.flags, test.emulator)
			if test.change != nil {
				test.change(&p)
			}
			if name == "no kernel" && hostKernel() != "" {
				t.Skip("the host's own kernel would be taken")
			}
			for range 2 { // the second time from the cache
				typ, reason, err := p.Find(t.Context())
				if err != nil || typ != test.want || !strings.Contains(reason, test.reason) {
					t.Errorf("%s because %q (%v), want %s because %q", typ, reason, err, test.want, test.reason)
				}
			}
			if got := runs(); got > test.runs {
				t.Errorf("the emulator ran %d times, want %d", got, test.runs)
			}
		})
	}
}

func TestProbeAsksAgainAfterBoot(t *testing.T) {
	p, runs := host(t, "vmx", boots)
	find := func() {
		t.Helper()
		if typ, reason, err := p.Find(t.Context()); err != nil || typ != domainxml.KVM {
			t.Fatalf("%s because %q (%v)", typ, reason, err)
		}
	}
	find()
	if err := os.WriteFile(p.bootID, []byte("two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	find()
	if runs() != 2 {
		t.Errorf("the emulator ran %d times, want once per boot of the host", runs())
	}
	if err := os.WriteFile(p.Cache, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	find()
	if runs() != 3 {
		t.Errorf("a cache that cannot be read was believed")
	}
}

func TestProbeCut(t *testing.T) {
	p, _ := host(t, "vmx", "exec sleep 1000")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if typ, _, err := p.Find(ctx); !errors.Is(err, gone) || typ != domainxml.QEMU {
		t.Errorf("%s, %v", typ, err)
	}
	if _, ok := p.cached(); ok {
		t.Error("a probe that was cut left an answer")
	}
	if _, _, err := (Probe{Force: "xen"}).Find(t.Context()); err == nil {
		t.Error("a type of another kind was accepted")
	}
}

// TestProbeBootsKernel boots a real kernel by the means that every host has.
func TestProbeBootsKernel(t *testing.T) {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("SKIPPED: qemu-system-x86_64 is not installed: run `make deps` as root")
	}
	cache, err := guestimage.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kernels, err := filepath.Glob(filepath.Join(cache, "kernel", "boot", "vmlinuz-*"))
	if err != nil || len(kernels) == 0 {
		t.Skipf("SKIPPED: no guest kernel (%v): run `make deps`", err)
	}
	p, _ := host(t, "vmx", "")
	p.Kernel, p.Emulator, p.accel, p.Time = kernels[0], "qemu-system-x86_64", "tcg", 3*time.Minute
	if typ, reason, err := p.Find(t.Context()); err != nil || typ != domainxml.KVM {
		t.Errorf("%s because %q (%v)", typ, reason, err)
	}
}
