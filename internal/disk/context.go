package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/contextdisk"
)

// Context writes the context disk of a VM anew, in one step: a guest that has
// the old one keeps it whole. It holds secrets, so that only QEMU may read it.
// Source: resources reference §1.7 and §5.2.
func (h *Host) Context(_ context.Context, m *agentapi.Machine) error {
	c := m.Context
	if c == nil {
		return nil
	}
	spec := contextdisk.Spec{Vars: c.Vars, Token: c.Token, Time: time.Unix(c.Time, 0)}
	for _, f := range c.Files {
		if err := checkAbs("FILES", f.Path); err != nil {
			return fmt.Errorf("context disk: %w", err)
		}
		files, err := contextdisk.LocalFiles(f.Path, f.Name)
		if err != nil {
			return err
		}
		spec.Files = append(spec.Files, files...)
	}
	if err := makeDir(h.Dir(m)); err != nil {
		return full(err, h.cfg.Base)
	}
	return h.produce(h.DiskPath(m, c.DiskID), secretMode, func(path string) (err error) {
		out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		buf := bufio.NewWriterSize(out, 1<<20)
		if _, err := contextdisk.Build(buf, spec); err != nil {
			return err
		}
		return buf.Flush()
	})
}
