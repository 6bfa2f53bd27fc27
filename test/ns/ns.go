// Package ns lets the tests of a Go package run inside a sandbox: as root, with a bridge, libvirt and guests of their own.
// See internal/sandbox for what is in there and what is left behind (nothing).
//
//	func TestMain(m *testing.M) { os.Exit(ns.Run(m)) }
//
//	func TestBridge(t *testing.T) {
//		ns.Enter(t)
//		…
//	}
package ns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/sandbox"
)

// patience is how long a daemon may take to start or stop before that is a failure.
const patience = time.Minute

// Run runs the package's tests inside a sandbox and returns the status to exit with. Without root the tests run outside,
// where Enter skips those that must not.
//
// TestMain is called three times, in as many processes, the last of them inside: do nothing there before Run.
func Run(m *testing.M) int {
	status, err := sandbox.Run(m.Run)
	switch {
	case errors.Is(err, sandbox.ErrNotRoot):
		return m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, "ns:", err)
	}
	return status
}

// Enter skips the test, saying what to do about it, unless it runs inside a sandbox and the given tools are installed.
func Enter(t testing.TB, tools ...string) {
	t.Helper()
	if !sandbox.Inside() {
		t.Skip("SKIPPED: not root, so there is no sandbox: run `make deps`, then the tests, as root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed: run `make deps` as root", tool)
		}
	}
}

// Libvirtd enters like Enter and starts a private libvirtd, stopped when the test ends. The daemon's log is part of the
// report of a test that failed.
func Libvirtd(t testing.TB) *sandbox.Libvirtd {
	t.Helper()
	Enter(t)
	if err := sandbox.LibvirtMissing(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := sandbox.StartLibvirtd(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.Log())
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}
