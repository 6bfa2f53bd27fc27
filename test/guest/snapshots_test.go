package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

// countScript counts in the guest's memory, and leaves a file on its disk when it has
// come far. A count tells whether the file is there.
const countScript = `#!/bin/sh
cd /
(
	n=0
	while :; do
		n=$((n + 1))
		[ $n = 60 ] && touch /late && sync
		late=$(ls /late 2>/dev/null)
		echo "trifid-guest: count $n${late:+ late};"
		sleep 0.1
	done
) &
`

// running returns a context with a script for the guest to run.
func running(c *agentapi.Context, script string) *agentapi.Context {
	told := *c
	told.Vars = told.Vars.With("START_SCRIPT_BASE64", base64.StdEncoding.EncodeToString([]byte(script)))
	return &told
}

// TestSnapshotsOfRunningGuest takes a snapshot of a guest that counts, and lets it
// count again from there: its memory and its disk are as they were.
func TestSnapshotsOfRunningGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	m.Context = running(m.Context, countScript)
	m.Template = m.Template.Add(tmpl.Vec("GRAPHICS", "TYPE", "VNC", "LISTEN", "127.0.0.1", "PORT", "5971"))
	m.Template = m.Template.WithVector("OS", m.Template.Vector("OS").With("UUID", "8d1c7a0e-5b55-4c0a-9d36-0f6d5c1b7e07"))
	step := startAgent(t, h)
	attempt := 0
	work := func(op agentapi.Op, s agentapi.Snapshot) {
		t.Helper()
		attempt++
		step(agentapi.Step{StepID: agentapi.StepID{State: int(one.LCMHotplugSnapshot), Attempt: attempt}, Op: op, Machine: m, Snapshot: &s})
	}
	step(agentapi.Step{StepID: agentapi.StepID{State: 2}, Op: agentapi.OpStart, Machine: m})
	console := filepath.Join(dir, "console.log")
	says := func(what string) string {
		t.Helper()
		text, err := guestimage.AwaitConsole(ctx, console, "trifid-guest: "+what)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	says("count 3;")
	snap := agentapi.Snapshot{Name: "snap-0", Begun: 1700000000000, Live: true}
	for range 2 { // the answer to the first was lost
		work(agentapi.OpSnapshotCreate, snap)
	}
	if before := says("count 70 late;"); strings.Contains(before, "count 59 late") {
		t.Fatal("the file was there before its time")
	}
	work(agentapi.OpSnapshotRevert, snap)
	// The console begins anew with QEMU: the guest counts on from the snapshot, and its
	// file is gone until it comes to make it again.
	after := says("count 59;")
	if strings.Contains(after, "late") || strings.Contains(after, "booted") {
		t.Errorf("after the revert the guest says\n%s", after)
	}
	if ports := portsOf(t, "onebr1"); ports != 1 {
		t.Errorf("after the revert the bridge has %d ports", ports)
	}
	says("count 61 late;")

	// The guest goes off, and the snapshot is still there, also for a domain started anew,
	// which is reached at the port that it has by then.
	off := func(attempt int) {
		t.Helper()
		step(agentapi.Step{StepID: agentapi.StepID{State: int(one.LCMShutdownPoweroff), Attempt: attempt}, Op: agentapi.OpDestroy, Machine: m})
	}
	off(1)
	m.Template = m.Template.WithVector("GRAPHICS", tmpl.Vec("GRAPHICS", "TYPE", "VNC", "LISTEN", "127.0.0.1", "PORT", "5972").Vector)
	step(agentapi.Step{StepID: agentapi.StepID{State: int(one.LCMBootUndeploy)}, Op: agentapi.OpStart, Machine: m})
	work(agentapi.OpSnapshotRevert, snap)
	says("count 59;")
	conn := connect(t)
	dom, err := conn.DomainLookupByName(m.Domain)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := conn.DomainGetXMLDesc(dom, 0); err != nil || !strings.Contains(doc, "port='5972'") || strings.Contains(doc, "port='5971'") {
		t.Errorf("after the revert the domain is (%v)\n%s", err, doc)
	}
	off(2)
	if _, err := os.Stat(filepath.Join(dir, "snap-0.xml")); err != nil {
		t.Fatal(err)
	}
	snap.Live = false
	m.Template = m.Template.Add(tmpl.Vec("SNAPSHOT", "HYPERVISOR_ID", "snap-0"))
	for range 2 {
		work(agentapi.OpSnapshotDelete, snap)
	}
	if names := snapshotsIn(t, filepath.Join(dir, "disk.0")); names != "" {
		t.Errorf("in the file of the disk there still are the snapshots %s", names)
	}
}

// snapshotsIn returns the names of the snapshots in a disk's file, one after the other.
func snapshotsIn(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "--output=json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Snapshots []struct{ Name string }
	}
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range info.Snapshots {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// TestDiskSnapshotOfGuest keeps what is on the disk of a guest that runs, and starts
// the guest from there: it has forgotten all it did since.
func TestDiskSnapshotOfGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	m.Context = running(m.Context, countScript)
	step := startAgent(t, h)
	console := filepath.Join(dir, "console.log")
	says := func(what string) string {
		t.Helper()
		text, err := guestimage.AwaitConsole(ctx, console, "trifid-guest: "+what)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	attempt := 0
	work := func(state one.LCMState, op agentapi.Op, s *agentapi.Snapshot) {
		t.Helper()
		attempt++
		step(agentapi.Step{StepID: agentapi.StepID{State: int(state), Attempt: attempt}, Op: op, Machine: m, Snapshot: s})
	}
	work(one.LCMBoot, agentapi.OpStart, nil)
	says("count 3;")
	live, off := &agentapi.Snapshot{Name: "disk-snap-0", Live: true}, &agentapi.Snapshot{Name: "disk-snap-0"}
	for range 2 {
		work(one.LCMDiskSnapshot, agentapi.OpDiskSnapshotCreate, live)
	}
	says("count 70 late;")
	work(one.LCMShutdownPoweroff, agentapi.OpDestroy, nil)
	for range 2 {
		work(one.LCMDiskSnapshotRevertPoweroff, agentapi.OpDiskSnapshotRevert, off)
	}
	work(one.LCMBootPoweroff, agentapi.OpStart, nil)
	if after := says("count 50;"); strings.Contains(after, "late") {
		t.Errorf("after the revert the guest says\n%s", after)
	}
	for range 2 {
		work(one.LCMDiskSnapshotDelete, agentapi.OpDiskSnapshotDelete, live)
	}
	work(one.LCMShutdownPoweroff, agentapi.OpDestroy, nil)
	if names := snapshotsIn(t, filepath.Join(dir, "disk.0")); names != "" {
		t.Errorf("in the file of the disk there still are the snapshots %s", names)
	}
}
