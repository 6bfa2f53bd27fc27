package iso9660

import (
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"
)

// Limits of an image. They keep a hostile list of files from using up memory;
// a context disk holds a handful.
const (
	MaxEntries  = 10_000
	MaxName     = 255       // bytes of one path element
	MaxDepth    = 32        // path elements
	MaxTarget   = 1000      // bytes of a symbolic link's target
	MaxFileSize = 1<<32 - 1 // bytes; the size field has 32 bits
)

// Entry is one file, directory or symbolic link of an image.
type Entry struct {
	Path     string      // slash-separated, relative to the root; parents are made as needed
	Mode     fs.FileMode // type (regular, fs.ModeDir or fs.ModeSymlink) and permission bits
	UID, GID uint32
	Size     int64                         // bytes; of a regular file only
	Open     func() (io.ReadCloser, error) // yields exactly Size bytes; of a regular file only
	Target   string                        // of a symbolic link only
}

// node is an Entry in its place in the tree.
type node struct {
	Entry
	name     string
	parent   *node            // the root is its own parent
	byName   map[string]*node // of a directory
	children []*node          // of a directory, ascending by name
	explicit bool             // named by an Entry, not only implied by a path
	data     extent           // of a regular file
}

// extent is a run of whole sectors.
type extent struct {
	lba  uint32 // first sector
	size uint32 // bytes
}

// buildTree checks the entries and puts them into a tree.
func buildTree(entries []Entry) (*node, error) {
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("%d entries: expected at most %d", len(entries), MaxEntries)
	}
	root := newDir("", nil)
	root.parent = root
	count := 0
	for i := range entries {
		if err := root.insert(&entries[i], &count); err != nil {
			return nil, fmt.Errorf("path %q: %w", clip(entries[i].Path), err)
		}
	}
	root.sort()
	return root, nil
}

func newDir(name string, parent *node) *node {
	return &node{Entry: Entry{Mode: fs.ModeDir | 0o755}, name: name, parent: parent, byName: map[string]*node{}}
}

func (n *node) insert(e *Entry, count *int) error {
	elems := strings.Split(e.Path, "/")
	if len(elems) > MaxDepth {
		return fmt.Errorf("%d levels: expected at most %d", len(elems), MaxDepth)
	}
	if err := e.check(); err != nil {
		return err
	}
	dir := n // the root
	for i, name := range elems {
		if err := checkName(name); err != nil {
			return err
		}
		last := i == len(elems)-1
		child := dir.byName[name]
		switch {
		case child == nil:
			// Parents count too: a path may bring 31 of them.
			if *count++; *count > MaxEntries {
				return fmt.Errorf("more than %d files and directories", MaxEntries)
			}
			child = newDir(name, dir)
			dir.byName[name] = child
		case last && (child.explicit || !e.Mode.IsDir()):
			return fmt.Errorf("given twice")
		case !last && !child.Mode.IsDir():
			return fmt.Errorf("%q is not a directory", name)
		}
		if last {
			child.Entry = *e
			child.explicit = true
			if !e.Mode.IsDir() {
				child.byName = nil
			}
		}
		dir = child
	}
	return nil
}

// check looks at everything of an entry but its path.
func (e *Entry) check() error {
	switch e.Mode.Type() {
	case 0:
		if e.Open == nil {
			return fmt.Errorf("regular file without content")
		}
		if e.Size < 0 || e.Size > MaxFileSize {
			return fmt.Errorf("size %d: expected 0 to %d bytes", e.Size, int64(MaxFileSize))
		}
	case fs.ModeDir:
	case fs.ModeSymlink:
		if e.Target == "" || len(e.Target) > MaxTarget || strings.IndexByte(e.Target, 0) >= 0 {
			return fmt.Errorf("link target: expected 1 to %d bytes without NUL", MaxTarget)
		}
	default:
		return fmt.Errorf("mode %v: expected a regular file, a directory or a symbolic link", e.Mode.Type())
	}
	return nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > MaxName || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("path element %q: expected 1 to %d bytes, without NUL, not . or ..", clip(name), MaxName)
	}
	return nil
}

// clip keeps error texts short.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

func (n *node) sort() {
	n.children = make([]*node, 0, len(n.byName))
	for _, c := range n.byName {
		n.children = append(n.children, c)
	}
	sort.Slice(n.children, func(i, j int) bool { return n.children[i].name < n.children[j].name })
	for _, c := range n.children {
		if c.Mode.IsDir() {
			c.sort()
		}
	}
}

// walk calls f for n and everything below it, a directory before its content.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}

// links is the number of hard links a Unix file system would show.
func (n *node) links() uint32 {
	if !n.Mode.IsDir() {
		return 1
	}
	links := uint32(2)
	for _, c := range n.children {
		if c.Mode.IsDir() {
			links++
		}
	}
	return links
}
