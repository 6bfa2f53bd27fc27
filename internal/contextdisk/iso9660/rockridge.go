package iso9660

import (
	"io/fs"
	"strings"
	"time"
)

// The file types of POSIX, as PX fields hold them.
const (
	posixDir     = 0o040000
	posixRegular = 0o100000
	posixLink    = 0o120000
)

// rockRidge builds the system use fields of the primary tree's directory
// records. Fields that do not fit into a record go to the continuation area.
type rockRidge struct {
	stamp [7]byte
	base  uint32 // first sector of the continuation area
	area  []byte // the continuation area so far
}

// continuation is the length of a CE field.
const continuation = 28

// fields returns the system use part, at most room bytes, of the record that
// names n; role says how the record names it.
func (r *rockRidge) fields(n *node, role role, room int) []byte {
	var all [][]byte
	firstOfDisk := role == self && n.parent == n
	if firstOfDisk {
		all = append(all, []byte{'S', 'P', 7, 1, 0xbe, 0xef, 0})
	}
	all = append(all, posixField(n), r.timeField())
	if role == child {
		all = append(all, nameFields(n.name)...)
		if n.Target != "" {
			all = append(all, linkFields(n.Target)...)
		}
	}
	if firstOfDisk {
		all = append(all, extensionField())
	}
	return r.fit(all, room)
}

// fit joins the fields if they have room; else it moves the tail of the list to
// the continuation area and points there.
func (r *rockRidge) fit(all [][]byte, room int) []byte {
	total := 0
	for _, f := range all {
		total += len(f)
	}
	out := make([]byte, 0, room)
	if total <= room {
		for _, f := range all {
			out = append(out, f...)
		}
		return out
	}
	for len(out)+len(all[0])+continuation <= room {
		out = append(out, all[0]...)
		all = all[1:]
	}
	var rest []byte
	for _, f := range all {
		rest = append(rest, f...)
	}
	// Linux refuses a continuation that crosses a block. The longest, a name of
	// 255 bytes and a link target of MaxTarget, is well below one.
	if len(r.area)%sector+len(rest) > sector {
		r.area = padSector(r.area)
	}
	at := len(r.area)
	r.area = append(r.area, rest...)
	out = append(out, 'C', 'E', continuation, 1)
	out = appendBoth32(out, r.base+uint32(at/sector))
	out = appendBoth32(out, uint32(at%sector))
	return appendBoth32(out, uint32(len(rest)))
}

// posixField holds mode, links and owner (RRIP 4.1.1).
func posixField(n *node) []byte {
	mode := uint32(n.Mode.Perm())
	switch n.Mode.Type() {
	case fs.ModeDir:
		mode |= posixDir
	case fs.ModeSymlink:
		mode |= posixLink
	default:
		mode |= posixRegular
	}
	out := append(make([]byte, 0, 36), 'P', 'X', 36, 1)
	out = appendBoth32(out, mode)
	out = appendBoth32(out, n.links())
	out = appendBoth32(out, n.UID)
	return appendBoth32(out, n.GID)
}

// timeField holds the times of modification, access and attribute change
// (RRIP 4.1.6), all the same here.
func (r *rockRidge) timeField() []byte {
	const modifyAccessAttributes = 0x0e
	out := append(make([]byte, 0, 26), 'T', 'F', 26, 1, modifyAccessAttributes)
	for range 3 {
		out = append(out, r.stamp[:]...)
	}
	return out
}

const (
	maxField  = 255 // a field's length is one byte
	continues = 0x01
)

// nameFields holds the real name (RRIP 4.1.4), in as many fields as it needs.
func nameFields(name string) [][]byte {
	const head = 5
	var out [][]byte
	for {
		n := min(len(name), maxField-head)
		flags := byte(0)
		if n < len(name) {
			flags = continues
		}
		f := append(make([]byte, 0, head+n), 'N', 'M', byte(head+n), 1, flags)
		out = append(out, append(f, name[:n]...))
		name = name[n:]
		if name == "" {
			return out
		}
	}
}

// linkFields holds the target of a symbolic link (RRIP 4.1.3), one component
// for each path element, in as many fields as they need.
func linkFields(target string) [][]byte {
	const head, compHead, maxComp = 5, 2, maxField - 5 - 2
	const here, up, top = 0x02, 0x04, 0x08
	var comps [][]byte
	if strings.HasPrefix(target, "/") {
		comps = append(comps, []byte{top, 0})
	}
	for elem := range strings.SplitSeq(target, "/") {
		switch elem {
		case "":
		case ".":
			comps = append(comps, []byte{here, 0})
		case "..":
			comps = append(comps, []byte{up, 0})
		default:
			for elem != "" {
				n := min(len(elem), maxComp)
				flags := byte(0)
				if n < len(elem) {
					flags = continues
				}
				comps = append(comps, append([]byte{flags, byte(n)}, elem[:n]...))
				elem = elem[n:]
			}
		}
	}
	var out [][]byte
	for len(comps) > 0 {
		f := append(make([]byte, 0, maxField), 'S', 'L', 0, 1, 0)
		for len(comps) > 0 && len(f)+len(comps[0]) <= maxField {
			f = append(f, comps[0]...)
			comps = comps[1:]
		}
		f[2] = byte(len(f))
		if len(comps) > 0 {
			f[4] = continues
		}
		out = append(out, f)
	}
	return out
}

// extensionField says that the fields are Rock Ridge ones (SUSP 5.5). The texts
// are those that RRIP 1.10 prescribes.
func extensionField() []byte {
	const (
		id   = "RRIP_1991A"
		desc = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
		src  = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	)
	out := []byte{'E', 'R', byte(8 + len(id) + len(desc) + len(src)), 1, byte(len(id)), byte(len(desc)), byte(len(src)), 1}
	return append(out, id+desc+src...)
}

// shortTime is the seven-byte time of directory records, in UTC (ECMA-119 9.1.5).
func shortTime(t time.Time) [7]byte {
	t = t.UTC()
	return [7]byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}
