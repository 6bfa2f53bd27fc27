//go:build !linux

package onegate

import (
	"errors"
	"os"
)

// isTerminal is false where we do not know: only decoration depends on it.
func isTerminal(*os.File) bool { return false }

// statfs is for Linux guests, like all of metrics.
func statfs(string) (total, free uint64, err error) { return 0, 0, errors.ErrUnsupported }
