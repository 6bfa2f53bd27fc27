package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// isWeb tells whether a path is an address that a host can download from.
func isWeb(path string) bool {
	return strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://")
}

// downloadImage writes the image that a URL answers to a new file.
func (h *Host) downloadImage(ctx context.Context, s *agentapi.ImageSpec, path string) error {
	limit := int64(maxImage)
	if s.LimitMB > 0 {
		limit = s.LimitMB * mb
	}
	n, err := h.download(ctx, s.Path, path, limit)
	if err != nil {
		return err
	}
	return checkRoom(s, Image{Size: n}.SizeMB())
}

// download writes what a URL answers to a new file, and returns its size. Of what
// is larger than the limit it writes no more, or nothing, and returns a larger size.
func (h *Host) download(ctx context.Context, url, path string, limit int64) (n int64, err error) {
	if h.cfg.HTTP == nil {
		return 0, errors.New("downloads are not enabled on this host")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := h.cfg.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the server answers %s", resp.Status)
	}
	if resp.ContentLength > limit {
		return resp.ContentLength, nil
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return io.Copy(out, io.LimitReader(resp.Body, limit+1))
}
