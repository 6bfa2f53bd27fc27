package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/durable"
)

// epoch is the highest epoch of a server that was seen, in a file unless path
// is "".
type epoch struct {
	path string
	seen uint64
}

// readEpoch reads <dir>/epoch; no such file is epoch 0.
func readEpoch(dir string) (epoch, error) {
	if dir == "" {
		return epoch{}, nil
	}
	e := epoch{path: filepath.Join(dir, "epoch")}
	data, err := os.ReadFile(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return e, err
	}
	if e.seen, err = strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err != nil {
		return e, fmt.Errorf("%s: %w", e.path, err)
	}
	return e, nil
}

// raise refuses an epoch lower than the highest with a *StaleEpochError, and
// makes a higher one durable before it returns.
func (e *epoch) raise(to uint64) error {
	switch {
	case to < e.seen:
		return &agentapi.StaleEpochError{Seen: e.seen, Got: to}
	case to == e.seen:
		return nil
	}
	if e.path != "" {
		if err := durable.WriteFile(e.path, strconv.AppendUint(nil, to, 10)); err != nil {
			return fmt.Errorf("keep epoch %d: %w", to, err)
		}
	}
	e.seen = to
	return nil
}
