package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// kind is how a disk comes to be.
type kind int

const (
	swap     kind = iota // a swap volume
	empty                // an empty volume, perhaps with a file system
	clone                // a copy of an image
	link                 // the image itself
	linkCopy             // a copy that goes back into the image at the end
)

// vmDisk is a DISK vector as its maker needs it.
type vmDisk struct {
	id     int
	kind   kind
	source string // of clone, link and linkCopy
	format string
	fs     string // of empty
	sizeMB int64  // 0: that of the image
	tm     string
	save   bool
}

// disksOf reads the DISKs of a VM, by their ids.
func disksOf(m *agentapi.Machine) ([]vmDisk, error) {
	var out []vmDisk
	for _, v := range m.Template.Vectors("DISK") {
		d, err := readDisk(v)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b vmDisk) int { return cmp.Compare(a.id, b.id) })
	return out, nil
}

func readDisk(v tmpl.Vector) (d vmDisk, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("DISK %s: %w", v.Get("DISK_ID"), err)
		}
	}()
	if d.id, err = strconv.Atoi(v.Get("DISK_ID")); err != nil || d.id < 0 {
		return d, fmt.Errorf("DISK_ID %q: expected a number", v.Get("DISK_ID"))
	}
	if s := v.Get("SIZE"); s != "" {
		if d.sizeMB, err = strconv.ParseInt(s, 10, 64); err != nil || d.sizeMB < 0 {
			return d, fmt.Errorf("SIZE %q: expected a number of MB", s)
		}
	}
	d.tm = v.Get("TM_MAD")
	d.fs = v.Get("FS")
	d.format = strings.ToLower(cmp.Or(v.Get("FORMAT"), v.Get("DRIVER"), Raw))
	d.source = v.Get("SOURCE")
	switch typ := strings.ToUpper(v.Get("TYPE")); typ {
	case "SWAP":
		d.kind, d.format = swap, Raw
		return d, nil
	case "FS":
		d.kind = empty
		return d, checkFormat(d.format)
	case "", "FILE", "CDROM", "BLOCK":
	default:
		return d, fmt.Errorf("TYPE %s is not supported yet", typ)
	}
	if err := checkAbs("SOURCE", d.source); err != nil {
		return d, err
	}
	d.save = v.Bool("SAVE")
	switch {
	case v.Bool("CLONE"):
		d.kind = clone
		return d, checkFormat(d.format)
	case d.tm == "ssh":
		d.kind = linkCopy
	default:
		d.kind = link
	}
	return d, nil
}

// Prepare puts the disks, the kernel and the initial RAM disk of a VM into its
// directory: per disk in order of its id a swap volume, an empty volume, a copy
// of an image, or a link to a persistent one; then kernel and initrd. What is
// there already stays as it is, because the VM may have written to it.
//
// A copy of a qcow2 image under the transfer drivers qcow2 and shared is an
// overlay on it; any other copy is a whole one. Under the driver ssh a persistent
// image is copied, and Finish brings it back.
// Source: resources reference §4.1 and §5.2.
func (h *Host) Prepare(ctx context.Context, m *agentapi.Machine) error {
	disks, err := disksOf(m)
	if err != nil {
		return err
	}
	dir := h.Dir(m)
	if err := makeDir(dir); err != nil {
		return full(err, h.cfg.Base)
	}
	for _, d := range disks {
		if err := h.place(ctx, m, d); err != nil {
			return err
		}
	}
	return h.prepareKernel(ctx, m)
}

// place puts one disk into the directory of its VM.
func (h *Host) place(ctx context.Context, m *agentapi.Machine, d vmDisk) (err error) {
	if d.kind == link {
		err = linkOnce(d.source, h.DiskPath(m, d.id))
	} else {
		err = h.once(h.DiskPath(m, d.id), func(path string) error { return h.make(ctx, d, path) })
	}
	if err != nil {
		return fmt.Errorf("DISK %d: %w", d.id, err)
	}
	return nil
}

// prepareKernel copies kernel and initial RAM disk. They come out of a guest's
// memory again, so that a VM's owner could read any file of the host by naming it
// one of these: only those of a files datastore, which the server has resolved,
// and those in KernelDirs are taken.
func (h *Host) prepareKernel(ctx context.Context, m *agentapi.Machine) error {
	os := m.Template.Vector("OS")
	for _, f := range []struct{ name, key, src string }{{"kernel", "KERNEL", m.Kernel}, {"initrd", "INITRD", m.Initrd}} {
		if f.src == "" {
			continue
		}
		from := bounds{safe: h.cfg.KernelDirs, restricted: defaultRestricted}
		if os.Get(f.key+"_DS") != "" {
			from.safe = []string{h.cfg.Base}
		}
		err := h.once(filepath.Join(h.Dir(m), f.name), func(path string) error {
			in, err := openSource(f.src, from)
			if err != nil {
				return err
			}
			defer in.Close()
			return copyOpen(ctx, in, path)
		})
		if err != nil {
			return fmt.Errorf("OS/%s: %w", f.key, err)
		}
	}
	return nil
}

// once makes a file unless it is there.
func (h *Host) once(dest string, fill func(path string) error) error {
	there, err := exists(dest)
	if err != nil || there {
		return err
	}
	return h.produce(dest, diskMode, fill)
}

// linkOnce makes a link to an image, which stays who it is.
func linkOnce(source, dest string) error {
	if _, err := os.Stat(source); err != nil {
		return err
	}
	if err := os.Symlink(source, dest); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// make makes the file of a disk that is not a link.
func (h *Host) make(ctx context.Context, d vmDisk, path string) error {
	switch d.kind {
	case swap:
		return h.makeSwap(ctx, path, d.sizeMB)
	case empty:
		return h.makeEmpty(ctx, path, d.format, d.fs, d.sizeMB)
	case linkCopy:
		return copyFile(ctx, d.source, path)
	}
	now := Image{Format: d.format}
	var err error
	if d.format == Qcow2 {
		now, err = ProbePath(d.source)
	} else if info, e := os.Stat(d.source); e == nil {
		now.Size = info.Size() // raw is raw, whatever a guest wrote to its begin
	} else {
		err = e
	}
	if err != nil {
		return err
	}
	if now.Format != d.format {
		return fmt.Errorf("SOURCE %s is in format %s, expected %s", d.source, now.Format, d.format)
	}
	if d.format == Qcow2 && (d.tm == "qcow2" || d.tm == "shared") {
		err = h.overlay(ctx, d.source, Qcow2, path)
	} else {
		err = copyFile(ctx, d.source, path)
	}
	if err != nil {
		return err
	}
	return h.grow(ctx, path, now, d.sizeMB)
}
