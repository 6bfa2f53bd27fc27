package onegate

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bounds of metrics.
const (
	defaultInterval = 30 // seconds
	maxInterval     = 24 * 60 * 60
	maxDisks        = 16
)

// metrics pushes load, memory, swap and disk use as attributes of the VM: once,
// or again and again. The percentages bear the names of the reference's sample
// script; LOAD is our own.
func (a *app) metrics(ctx context.Context, o *options) error {
	interval := defaultInterval
	if s, ok := o.get("interval"); ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxInterval {
			return failed("--interval %q: expected a number of seconds from 1 to %d", s, maxInterval)
		}
		if o.has("once") {
			return failed("--once and --interval exclude each other")
		}
		interval = n
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	push := func() error {
		m, err := a.measure()
		if err != nil {
			return err
		}
		// A literal \n separates attributes, as in what --data takes.
		_, err = c.do(ctx, http.MethodPut, "/vm", typeForm, form(setting{"data", strings.Join(m, `\n`)}, setting{"type", "1"}))
		return err
	}
	if o.has("once") {
		return push()
	}
	wait := backoff{jitter: a.jitter}
	for {
		pause := time.Duration(interval) * time.Second
		if err := push(); err == nil {
			wait.succeeded()
		} else if ctx.Err() == nil {
			fmt.Fprintf(a.stderr, "metrics: %v\n", err)
			pause = max(pause, wait.failed(err))
		}
		if a.sleep(ctx, pause) != nil {
			return nil
		}
	}
}

// measure returns the attributes as NAME=value.
func (a *app) measure() ([]string, error) {
	var out []string
	load, err := readFile(filepath.Join(a.root, "proc/loadavg"))
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(string(load)); len(f) > 0 && isNumber(f[0]) {
		out = append(out, "LOAD="+f[0])
	}
	mem, err := readFile(filepath.Join(a.root, "proc/meminfo"))
	if err != nil {
		return nil, err
	}
	out = append(out, memoryMetrics(parseMeminfo(string(mem)))...)
	mounts, err := readFile(filepath.Join(a.root, "proc/mounts"))
	if err != nil {
		return nil, err
	}
	for _, d := range disks(parseMounts(string(mounts))) {
		total, free, err := statfs(filepath.Join(a.root, d.dir))
		if err != nil {
			continue // gone since, or not ours to see
		}
		out = append(out, d.name+"="+percent(total-free, total))
	}
	return out, nil
}

// parseMeminfo reads /proc/meminfo: kilobytes by name.
func parseMeminfo(s string) map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(s) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || len(f) == 0 {
			continue
		}
		if n, err := strconv.ParseUint(f[0], 10, 63); err == nil {
			out[name] = n
		}
	}
	return out
}

// memoryMetrics gives sizes in kilobytes. Memory that the kernel would give back
// counts as free: what caches hold is no reason to scale.
func memoryMetrics(m map[string]uint64) []string {
	free, ok := m["MemAvailable"]
	if !ok { // before Linux 3.14
		free = m["MemFree"] + m["Buffers"] + m["Cached"]
	}
	out := sizes("MEM", m["MemTotal"], free)
	return append(out, sizes("SWAP", m["SwapTotal"], m["SwapFree"])...)
}

func sizes(name string, total, free uint64) []string {
	free = min(free, total)
	number := func(what string, n uint64) string { return name + what + "=" + strconv.FormatUint(n, 10) }
	return []string{
		number("_TOTAL", total), number("_FREE", free), number("_USED", total-free),
		name + "_USED_PERC=" + percent(total-free, total),
	}
}

// disk is a file system to be measured, and the attribute it is reported as.
type disk struct{ name, dir string }

// disks picks the file systems on block devices, each device once, and gives
// the root the plain name too.
func disks(mounts []mount) []disk {
	var out []disk
	seen := map[string]bool{}
	for _, m := range mounts {
		if m.dir == "/" && m.kind != "rootfs" && !seen["/"] {
			seen["/"] = true
			out = append(out, disk{"DISK_USED_PERC", m.dir})
		}
		device, ok := strings.CutPrefix(m.device, "/dev/")
		if !ok || seen[device] || m.kind == "iso9660" || len(seen) > maxDisks {
			continue
		}
		seen[device] = true
		out = append(out, disk{"DISK_USED_PERC_" + attribute(device[strings.LastIndexByte(device, '/')+1:]), m.dir})
	}
	return out
}

// attribute makes a name of letters, digits and underscores.
func attribute(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64)
}
