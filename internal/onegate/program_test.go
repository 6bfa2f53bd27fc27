package onegate

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

// The names here must be those of the server.
func TestStatesAgree(t *testing.T) {
	for n, s := range vmStates {
		if want := one.VMState(n).String(); s != want {
			t.Errorf("VM state %d: %q, want %q", n, s, want)
		}
	}
	for n := range 200 {
		want := one.LCMState(n).String()
		got := ""
		if n < len(lcmStates) {
			got = lcmStates[n]
		}
		if got != want && want != "" { // the server has no names for numbers long gone
			t.Errorf("LCM state %d: %q, want %q", n, got, want)
		}
	}
	for n := range 100 {
		want := one.ServiceState(n).String()
		if n < len(serviceStates) && serviceStates[n] != want || n >= len(serviceStates) && want != "" {
			t.Errorf("service state %d: want %q", n, want)
		}
	}
	if vmState("8", "3") != "POWEROFF" || vmState("3", "3") != "RUNNING" || vmState("99", "0") != "" || vmState("x", "") != "" || vmState("3", "-1") != "" {
		t.Error("vmState")
	}
}

// The program goes into every guest: it must be small, depend on nothing, and
// run by itself.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	gobin, err := exec.LookPath("go")
	if err != nil {
		t.Skip("CHECK NOT MADE: no go command")
	}
	bin := filepath.Join(t.TempDir(), "onegate")
	// As make build does.
	cmd := exec.Command(gobin, "build", "-tags", "nethttpomithttp2", "-trimpath",
		"-ldflags", "-s -w -X github.com/trifid-cloud/trifid/internal/onegate.release=v1.2-3", "-o", bin, "../../cmd/onegate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 6_000_000
	t.Logf("%d bytes", info.Size())
	if info.Size() > limit {
		t.Errorf("%d bytes, expected at most %d", info.Size(), limit)
	}
	if runtime.GOOS == "linux" {
		f, err := elf.Open(bin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 || f.Section(".interp") != nil {
			t.Errorf("not static: %v, %v", libs, err)
		}
	}
	out, err := exec.Command(gobin, "list", "-deps", "../../cmd/onegate").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.Contains(strings.Split(dep, "/")[0], ".") && !strings.HasSuffix(dep, "/onegate") || dep == "encoding/json" {
			t.Errorf("depends on %s", dep)
		}
	}

	g := newGuest(t, answers(vmDoc))
	run := exec.Command(bin, "vm", "show", "--json")
	run.Env = []string{"ONEGATE_ENDPOINT=" + g.vars["ONEGATE_ENDPOINT"], "VMID=8", "TOKENTXT=t"}
	text, err := run.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(text), "{\n  \"VM\": {\n    \"NAME\": \"web-8\"") {
		t.Errorf("%v: %s", err, text)
	}
	if text, err := exec.Command(bin, "version").Output(); err != nil || string(text) != "onegate v1.2-3 (Trifid), speaks OneGate 6.8.3\n" {
		t.Errorf("version: %v: %s", err, text)
	}
	err = exec.Command(bin, "nonsense").Run()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 255 {
		t.Errorf("nonsense: %v", err)
	}
}
