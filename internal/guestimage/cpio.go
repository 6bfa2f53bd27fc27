package guestimage

import (
	"bytes"
	"fmt"
	"io/fs"
)

// File types of an archive entry, as in st_mode (cpio keeps them octal in the same field as the permissions).
const (
	typeDir     = 0o040000
	typeChar    = 0o020000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

// archive builds a cpio archive in the "newc" format, the only one the kernel unpacks (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst). The same calls give the same bytes: all times are zero,
// all owners root.
type archive struct {
	buf   bytes.Buffer
	inode int
}

func (a *archive) dir(name string) { a.add(name, typeDir|0o755, 0, 0, nil) }

func (a *archive) file(name string, perm fs.FileMode, data []byte) {
	a.add(name, typeRegular|int(perm.Perm()), 0, 0, data)
}

func (a *archive) symlink(name, target string) { a.add(name, typeSymlink|0o777, 0, 0, []byte(target)) }

func (a *archive) charDevice(name string, major, minor int) {
	a.add(name, typeChar|0o600, major, minor, nil)
}

// bytes ends the archive and returns it. Nothing may be added afterwards.
func (a *archive) bytes() []byte {
	a.inode = -1 // the trailer has inode 0
	a.add("TRAILER!!!", 0, 0, 0, nil)
	return a.buf.Bytes()
}

func (a *archive) add(name string, mode, major, minor int, data []byte) {
	a.inode++
	links := 1
	if mode&typeDir == typeDir && mode&typeRegular == 0 {
		links = 2
	}
	a.buf.WriteString("070701")
	for _, field := range []int{a.inode, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(name) + 1, 0} {
		fmt.Fprintf(&a.buf, "%08X", field)
	}
	a.buf.WriteString(name)
	a.buf.WriteByte(0)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

// pad fills up to a multiple of four bytes from the start of the archive.
func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}
