package contextdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trifid-cloud/trifid/internal/contextdisk/iso9660"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Source is where one of the user's files comes from.
type Source struct {
	Path string // a path, or a location of the datastore's own kind, or a URL
	Name string // what it is called on the disk; "" means its base name
}

// Sources reads the attributes FILES (paths, separated by blanks) and FILES_DS
// (as the server stores it: <source>:'<image name>' …) of a CONTEXT, in this
// order. Source: OneGate reference §5.2 and §5.4.
func Sources(vars tmpl.Vector) ([]Source, error) {
	var out []Source
	for path := range strings.FieldsSeq(vars.Get("FILES")) {
		out = append(out, Source{Path: path})
	}
	ds := strings.TrimSpace(vars.Get("FILES_DS"))
	for ds != "" {
		path, rest, ok := strings.Cut(ds, ":'")
		name, rest, closed := strings.Cut(rest, "'")
		if !ok || !closed || path == "" || name == "" {
			return nil, fmt.Errorf("CONTEXT/FILES_DS: expected <source>:'<image name>', found %q", ds)
		}
		out = append(out, Source{Path: path, Name: name})
		ds = strings.TrimSpace(rest)
	}
	if len(out) > iso9660.MaxEntries {
		return nil, fmt.Errorf("CONTEXT: %d files, expected at most %d", len(out), iso9660.MaxEntries)
	}
	return out, nil
}

// LocalFiles returns the file at path, or the directory and everything below
// it, to be put on the disk as name (path's base name if empty). Symbolic links
// stay links and are not followed. Permission bits are kept; everything belongs
// to root, since owners of this host mean nothing in a guest. Devices, sockets
// and pipes are an error. The contents are opened when the disk is written, and must be the files
// seen now.
func LocalFiles(path, name string) ([]File, error) {
	if name == "" {
		name = filepath.Base(path)
	}
	var out []File
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(out) == iso9660.MaxEntries {
			return fmt.Errorf("more than %d files", iso9660.MaxEntries)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		f, err := localFile(p, info)
		if err != nil {
			return err
		}
		f.Path = filepath.ToSlash(filepath.Join(name, rel))
		out = append(out, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("collecting %s for the context disk: %w", path, err)
	}
	return out, nil
}

func localFile(path string, info fs.FileInfo) (File, error) {
	f := File{Mode: info.Mode()&fs.ModeType | info.Mode().Perm()}
	switch f.Mode.Type() {
	case 0:
		f.Size = info.Size()
		f.Open = func() (io.ReadCloser, error) { return openSame(path, info) }
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return File{}, err
		}
		f.Target = target
	default:
		if !f.Mode.IsDir() {
			return File{}, fmt.Errorf("%s: expected a regular file, a directory or a symbolic link", path)
		}
	}
	return f, nil
}

// openSame opens path and makes sure that it is the file info was taken from:
// between the two somebody may have put a link to another file there.
func openSame(path string, info fs.FileInfo) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = errors.New("replaced while the context disk was made")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
