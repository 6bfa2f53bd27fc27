package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// maxOutput is how much a tool may say before it is not listened to any more.
const maxOutput = 4 << 10

// run runs a tool; its complaint becomes the error's text. The tool is killed
// when ctx is done.
func run(ctx context.Context, tool string, args ...string) error {
	var out limited
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is not installed on this host", tool)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", tool, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w: %s", tool, err, strings.TrimSpace(out.String()))
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// fsName is what a file system may be called: it becomes part of a tool's name.
var fsName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// makeEmpty makes an empty volume of size MB, with a file system if fs is set.
func (h *Host) makeEmpty(ctx context.Context, path, format, fs string, sizeMB int64) error {
	switch {
	case sizeMB <= 0 || sizeMB > maxImage/mb:
		return fmt.Errorf("SIZE %d: expected a number of MB from 1 to %d", sizeMB, int64(maxImage/mb))
	case fs != "" && !fsName.MatchString(fs):
		return fmt.Errorf("FS %q: expected the name of a file system, as ext4", fs)
	}
	if err := checkFormat(format); err != nil {
		return err
	}
	if format == Raw {
		return makeRaw(ctx, path, fs, sizeMB)
	}
	if fs == "" {
		return run(ctx, h.cfg.QemuImg, "create", "-q", "-f", Qcow2, path, strconv.FormatInt(sizeMB, 10)+"M")
	}
	raw := path + ".raw"
	defer os.Remove(raw)
	if err := makeRaw(ctx, raw, fs, sizeMB); err != nil {
		return err
	}
	return h.convert(ctx, raw, Raw, path, Qcow2)
}

// makeRaw makes a sparse file, and in it a file system if fs is set.
func makeRaw(ctx context.Context, path, fs string, sizeMB int64) error {
	if err := os.WriteFile(path, nil, secretMode); err != nil {
		return err
	}
	if err := os.Truncate(path, sizeMB*mb); err != nil {
		return err
	}
	if fs == "" {
		return nil
	}
	args := []string{path}
	if strings.HasPrefix(fs, "ext") {
		args = []string{"-q", "-F", path} // it asks whether a file may be one, else
	}
	return run(ctx, "mkfs."+fs, args...)
}

// makeSwap makes a swap volume of size MB.
func (h *Host) makeSwap(ctx context.Context, path string, sizeMB int64) error {
	if err := h.makeEmpty(ctx, path, Raw, "", sizeMB); err != nil {
		return err
	}
	return run(ctx, "mkswap", path)
}

// convert writes an image in another format.
func (h *Host) convert(ctx context.Context, src, srcFormat, dst, dstFormat string) error {
	return run(ctx, h.cfg.QemuImg, "convert", "-q", "-f", srcFormat, "-O", dstFormat, src, dst)
}

// overlay makes a qcow2 file that holds what differs from an image.
func (h *Host) overlay(ctx context.Context, image, imageFormat, path string) error {
	return run(ctx, h.cfg.QemuImg, "create", "-q", "-f", Qcow2, "-F", imageFormat, "-b", image, path)
}

// grow makes a disk size MB large, unless it is as large already.
func (h *Host) grow(ctx context.Context, path string, now Image, sizeMB int64) error {
	switch {
	case sizeMB > maxImage/mb:
		return fmt.Errorf("SIZE %d: the limit is %d MB", sizeMB, int64(maxImage/mb))
	case sizeMB <= now.SizeMB():
		return nil
	case now.Format == Raw:
		return os.Truncate(path, sizeMB*mb)
	}
	return run(ctx, h.cfg.QemuImg, "resize", "-q", "-f", now.Format, path, strconv.FormatInt(sizeMB, 10)+"M")
}
