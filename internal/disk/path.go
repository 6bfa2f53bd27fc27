package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where images may be copied from when a datastore does not say.
// Source: resources reference §4.
var (
	defaultSafe       = []string{"/var/tmp"}
	defaultRestricted = []string{"/"}
)

// bounds is what of the host's files may become an image.
type bounds struct{ safe, restricted []string }

func newBounds(safe, restricted []string) bounds {
	if len(safe) == 0 && len(restricted) == 0 {
		return bounds{defaultSafe, defaultRestricted}
	}
	return bounds{safe, restricted}
}

// allow tells whether a clean absolute path is allowed: below a safe directory,
// or not below a restricted one.
func (b bounds) allow(path string) bool {
	below := func(dirs []string) bool {
		for _, dir := range dirs {
			if filepath.IsAbs(dir) && within(path, filepath.Clean(dir)) {
				return true
			}
		}
		return false
	}
	return below(b.safe) || !below(b.restricted)
}

// errOutside marks a file that is out of bounds.
var errOutside = errors.New("it is not in a directory files may be taken from")

func (b bounds) refuse(path string) error {
	return fmt.Errorf("Not allowed to copy image file %s: %w (%s)", path, errOutside, strings.Join(b.safe, " "))
}

// openSource opens a file someone named whom we do not trust. The name is
// checked before the file system is asked, so that refusals tell nothing of what
// exists; and then where the file really is that was opened, so that no link, nor
// one put there meanwhile, leads out of the bounds.
func openSource(path string, b bounds) (f *os.File, err error) {
	if err := checkAbs("path", path); err != nil {
		return nil, err
	}
	if !b.allow(filepath.Clean(path)) {
		return nil, b.refuse(path)
	}
	// O_PATH opens the name only: a pipe would block, a device would act.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	proc := "/proc/self/fd/" + strconv.Itoa(fd)
	real, err := os.Readlink(proc)
	if err != nil {
		return nil, err
	}
	if !b.allow(real) {
		return nil, b.refuse(path)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s: expected a regular file", path)
	}
	return os.Open(proc)
}
