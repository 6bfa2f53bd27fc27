package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// download writes what a URL answers to a new file.
func (h *Host) download(ctx context.Context, s *agentapi.ImageSpec, path string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Path, nil)
	if err != nil {
		return err
	}
	resp, err := h.cfg.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	limit := int64(maxImage)
	if s.LimitMB > 0 {
		limit = s.LimitMB * mb
	}
	if resp.ContentLength > limit {
		return checkRoom(s, Image{Size: resp.ContentLength}.SizeMB())
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	n, err := io.Copy(out, io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return err
	}
	return checkRoom(s, Image{Size: n}.SizeMB())
}
