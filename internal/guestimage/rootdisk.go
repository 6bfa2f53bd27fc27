package guestimage

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed guest/boot.sh
var bootScript []byte

//go:embed guest/powerbutton.sh
var powerButtonScript []byte

//go:embed guest/inittab
var inittab []byte

// DemoScript is the Main of a guest of the demonstration: it tells the gate that it is ready (READY=YES), then reports
// as LOAD whatever its user template says in DEMO_LOAD, about once a second.
//
//go:embed guest/demo.sh
var DemoScript []byte

// RootDisk is a raw disk image with one ext4 file system, without partitions, that a Boot boots into.
type RootDisk struct {
	Onegate string // path of a static onegate client for the guest; empty: none
	Main    []byte // a program the guest starts once it has booted, as /etc/trifid/main; empty: none
}

// rootDiskSize leaves a guest some twenty megabytes to write to. The image is sparse.
const rootDiskSize = "64M"

// Write makes the image at path, replacing what is there. It runs mkfs.ext4 and needs no privilege.
func (d RootDisk) Write(ctx context.Context, path string) error {
	tree, err := os.MkdirTemp("", "guest-root-*")
	if err != nil {
		return fmt.Errorf("build root disk: %w", err)
	}
	defer os.RemoveAll(tree)
	if err := d.populate(ctx, tree); err != nil {
		return fmt.Errorf("build root disk: %w", err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("build root disk: %w", err)
	}
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-L", rootLabel, "-E", "root_owner=0:0", "-m", "0",
		"-d", tree, path, rootDiskSize)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("build root disk: mkfs.ext4: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// populate writes the guest's files under tree.
func (d RootDisk) populate(ctx context.Context, tree string) error {
	if err := os.Chmod(tree, 0o755); err != nil { // it becomes the guest's /
		return err
	}
	for _, dir := range []string{
		"bin", "dev", "etc/acpi/PWRF", "etc/trifid", "mnt/context", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "var/log",
	} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			return err
		}
	}
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"bin/busybox":     busybox,
		"etc/trifid/boot": bootScript,
		"etc/trifid/main": d.Main,
		// BusyBox's acpid runs the file of this name for the event "button/power PWRF 00000080".
		"etc/acpi/PWRF/00000080": powerButtonScript,
	}
	if len(d.Main) == 0 {
		files["etc/trifid/main"] = []byte("#!/bin/sh\n")
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(tree, name), content, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/inittab"), inittab, 0o644); err != nil {
		return err
	}
	if err := os.Symlink("/run", filepath.Join(tree, "var/run")); err != nil {
		return err
	}
	if err := linkApplets(ctx, tree); err != nil {
		return err
	}
	if d.Onegate != "" {
		return copyProgram(d.Onegate, filepath.Join(tree, "usr/bin/onegate"))
	}
	return nil
}

// linkApplets makes BusyBox answer to the name of each of its commands.
func linkApplets(ctx context.Context, tree string) error {
	list, err := exec.CommandContext(ctx, filepath.Join(tree, "bin/busybox"), "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	for applet := range strings.FieldsSeq(string(list)) {
		if applet == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(tree, "bin", applet)); err != nil {
			return err
		}
	}
	return os.Symlink("../bin/busybox", filepath.Join(tree, "sbin/init"))
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
