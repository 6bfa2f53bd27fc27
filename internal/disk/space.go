package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Ensure makes the directories of datastores, so that Space tells of them
// before they hold anything.
func (h *Host) Ensure(datastores ...int) error {
	for _, id := range datastores {
		if err := makeDir(filepath.Join(h.cfg.Base, strconv.Itoa(id))); err != nil {
			return fmt.Errorf("datastore %d: %w", id, err)
		}
	}
	return nil
}

// Space measures the file systems of the datastores that are on this host, in
// order of their ids.
func (h *Host) Space(context.Context) ([]agentapi.DatastoreSpace, error) {
	entries, err := os.ReadDir(h.cfg.Base)
	if err != nil {
		return nil, fmt.Errorf("measure datastores: %w", err)
	}
	var out []agentapi.DatastoreSpace
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil || id < 0 {
			continue
		}
		var st syscall.Statfs_t
		if err := syscall.Statfs(filepath.Join(h.cfg.Base, e.Name()), &st); err != nil {
			return nil, fmt.Errorf("measure datastore %d: %w", id, err)
		}
		block := uint64(st.Bsize)
		out = append(out, agentapi.DatastoreSpace{
			ID:      id,
			TotalMB: int64(st.Blocks * block / mb),
			UsedMB:  int64((st.Blocks - st.Bfree) * block / mb),
			FreeMB:  int64(st.Bavail * block / mb),
		})
	}
	return out, nil
}

// DiskSizes measures what the disks of a VM take, as DISK_SIZE vectors of ID and
// SIZE (MB, rounded up). A link takes what its image takes.
// Source: resources reference §9.3.
func (h *Host) DiskSizes(m *agentapi.Machine) ([]tmpl.Attr, error) {
	entries, err := os.ReadDir(h.Dir(m))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("measure disks of VM %d: %w", m.ID, err)
	}
	var out []tmpl.Attr
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "disk.")
		id, err := strconv.Atoi(digits)
		if !ok || err != nil || id < 0 {
			continue
		}
		info, err := os.Stat(filepath.Join(h.Dir(m), e.Name()))
		if err != nil {
			continue // gone meanwhile
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		size := (st.Blocks*512 + mb - 1) / mb
		out = append(out, tmpl.Vec("DISK_SIZE", "ID", strconv.Itoa(id), "SIZE", strconv.FormatInt(size, 10)))
	}
	return out, nil
}
