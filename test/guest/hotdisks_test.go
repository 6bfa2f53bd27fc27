package guest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/test/ns"
)

// diskScript tells on the console what virtio disks the guest has, and what the second
// one begins with when it comes; then it writes to it.
const diskScript = `#!/bin/sh
cd /
(
	while :; do
		now="$(ls /sys/block | grep '^vd' | tr '\n' ' ')"
		if [ "$now" != "$last" ] && [ -b /dev/vdb ]; then
			now="$now$(head -c 6 /dev/vdb)"
			printf written | dd of=/dev/vdb bs=512 seek=8 conv=notrunc && sync
			last="$(ls /sys/block | grep '^vd' | tr '\n' ' ')"
			echo "trifid-guest: disks $now;"
		elif [ "$now" != "$last" ]; then
			echo "trifid-guest: disks $now;"
			last=$now
		fi
		sleep 0.3
	done
) 2>/dev/null &
`

// TestDisksOfRunningGuest gives a guest that runs a disk of a persistent image, and
// takes it away again: the guest reads what is on the image, and the image has what
// the guest wrote. A volatile disk leaves nothing behind.
func TestDisksOfRunningGuest(t *testing.T) {
	ns.Libvirtd(t)
	h := newRealHost(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	m, dir := h.machine(t, 7, "vda")
	m.Context = running(m.Context, diskScript)
	step := startAgent(t, h)
	step(agentapi.Step{StepID: agentapi.StepID{State: int(one.LCMBoot)}, Op: agentapi.OpStart, Machine: m})
	console := filepath.Join(dir, "console.log")
	sees := func(what string) {
		t.Helper()
		if _, err := guestimage.AwaitConsole(ctx, console, "trifid-guest: disks "+what); err != nil {
			t.Fatal(err)
		}
	}
	sees("vda ;")

	image := filepath.Join(t.TempDir(), "image")
	content := make([]byte, 1<<20)
	copy(content, "MARKER")
	if err := os.WriteFile(image, content, 0o660); err != nil {
		t.Fatal(err)
	}
	persistent := tmpl.Vec("DISK", "DISK_ID", "5", "IMAGE_ID", "3", "SOURCE", image, "FORMAT", "raw", "TYPE", "FILE", "TM_MAD", "ssh",
		"CLONE", "NO", "SAVE", "YES", "TARGET", "vdb", "SIZE", "1")
	volatile := tmpl.Vec("DISK", "DISK_ID", "6", "TYPE", "FS", "FORMAT", "qcow2", "TARGET", "vdc", "SIZE", "8")
	attempt := 0
	change := func(op agentapi.Op, disk tmpl.Attr) {
		t.Helper()
		with := *m
		if op == agentapi.OpAttachDisk {
			with.Template = m.Template.Add(disk)
		}
		for range 2 { // the answer to the first was lost
			attempt++
			step(agentapi.Step{StepID: agentapi.StepID{State: int(one.LCMHotplug), Attempt: attempt}, Op: op, Machine: &with, Disk: disk.Vector})
		}
	}
	change(agentapi.OpAttachDisk, persistent)
	sees("vda vdb MARKER;")
	change(agentapi.OpAttachDisk, volatile)
	sees("vda vdb vdc MARKER;")
	change(agentapi.OpDetachDisk, persistent)
	sees("vda vdc ;")
	change(agentapi.OpDetachDisk, volatile)
	for _, name := range []string{"disk.5", "disk.6"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
	after, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(content) || !bytes.HasPrefix(after, []byte("MARKER")) || !bytes.HasPrefix(after[8*512:], []byte("written")) {
		t.Errorf("the image has %d bytes, %q and %q", len(after), after[:6], after[8*512:8*512+7])
	}
}
