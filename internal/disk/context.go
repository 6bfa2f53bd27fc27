package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/contextdisk"
)

// padding is what is behind the content of a context disk, as much as other
// makers of CDs leave. BusyBox looks for file systems up to 68 KiB from the start
// of a disk, and takes a shorter one for broken: its guests would find no context.
const padding = 150 * 2048

// Context writes the context disk of a VM anew, in one step: a guest that has
// the old one keeps it whole. It holds secrets, so that only QEMU may read it.
// Source: resources reference §1.7 and §5.2.
func (h *Host) Context(ctx context.Context, m *agentapi.Machine) (err error) {
	c := m.Context
	if c == nil {
		return nil
	}
	spec := contextdisk.Spec{Vars: c.Vars, Token: c.Token, Time: time.Unix(c.Time, 0)}
	if err := makeDir(h.Dir(m)); err != nil {
		return full(err, h.cfg.Base)
	}
	disk := h.DiskPath(m, c.DiskID)
	downloads := disk + ".files" + part
	defer func() { err = errors.Join(err, os.RemoveAll(downloads)) }()
	for i, f := range c.Files {
		files, err := h.contextFiles(ctx, f, filepath.Join(downloads, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		spec.Files = append(spec.Files, files...)
	}
	return h.produce(disk, secretMode, func(path string) (err error) {
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		buf := bufio.NewWriterSize(out, 1<<20)
		size, err := contextdisk.Build(buf, spec)
		if err != nil {
			return err
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		return out.Truncate(size + padding)
	})
}

// maxDownload bounds a file that a CONTEXT has from the web, in bytes.
const maxDownload = 64 * mb

// contextFiles returns what a CONTEXT names: a file, a directory with all below
// it, or what a URL answers, which is written to a new directory first.
func (h *Host) contextFiles(ctx context.Context, f agentapi.ContextFile, dir string) ([]contextdisk.File, error) {
	switch {
	case f.Name == "" && isWeb(f.Path):
		return h.downloadFile(ctx, f.Path, dir)
	case f.Name == "" && restrictedFile(f.Path): // named by a user, and no image
		return nil, fmt.Errorf("CONTEXT/FILES cannot use %s, it's in restricted directories", f.Path)
	}
	if err := checkAbs("FILES", f.Path); err != nil {
		return nil, fmt.Errorf("context disk: %w", err)
	}
	return contextdisk.LocalFiles(f.Path, f.Name)
}

func (h *Host) downloadFile(ctx context.Context, address, dir string) ([]contextdisk.File, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("CONTEXT/FILES: %w", err)
	}
	name, shown := path.Base(u.Path), u.Redacted()
	if name == "." || name == "/" {
		return nil, fmt.Errorf("CONTEXT/FILES: %s names no file: expected a path behind the host", shown)
	}
	if err := os.RemoveAll(dir); err != nil { // of an attempt that was interrupted
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, full(err, h.cfg.Base)
	}
	file := filepath.Join(dir, name)
	switch n, err := h.download(ctx, address, file, maxDownload); {
	case err != nil:
		return nil, fmt.Errorf("CONTEXT/FILES: download %s: %w", shown, full(err, h.cfg.Base))
	case n > maxDownload:
		return nil, fmt.Errorf("CONTEXT/FILES: %s is larger than %d MiB", shown, maxDownload/mb)
	}
	return contextdisk.LocalFiles(file, "")
}

// restrictedDirs are of which no file may go to a guest, whoever names it.
// Source: OneGate reference §5.2.
var restrictedDirs = []string{"/etc"}

// restrictedFile tells whether a path is in a restricted directory, by whatever
// links, or has one in it.
func restrictedFile(path string) bool {
	path = filepath.Clean(path)
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(real, filepath.Base(path))
	}
	return slices.ContainsFunc(restrictedDirs, func(dir string) bool { return path == dir || within(path, dir) || within(dir, path) })
}
