package iso9660

import (
	"bytes"
	"encoding/binary"
	"sort"
)

// sector is the size of a logical sector and block.
const sector = 2048

// role says how a directory record names its file.
type role int

const (
	self   role = iota // the first record of a directory
	parent             // the second
	child              // all others
)

// hierarchy is one of the two directory trees of an image: the primary one,
// with Rock Ridge, or the Joliet one.
type hierarchy struct {
	dirs   []*node           // in the order of the path table, the root first
	number map[*node]int     // of a directory in the path table, from 1
	ident  map[*node][]byte  // identifiers, also of directories
	kids   map[*node][]*node // of a directory, ascending by identifier
	place  map[*node]extent  // of directories
	stamp  [7]byte
	rock   *rockRidge // nil in the Joliet tree
	tables [2]uint32  // first sectors of the path tables, little and big end first
}

// newHierarchy names and orders the tree below root. names gives the
// identifiers of a directory's children; who has none is left out.
func newHierarchy(root *node, stamp [7]byte, names func(*node) map[*node][]byte, rock *rockRidge) *hierarchy {
	h := &hierarchy{
		dirs:   []*node{root},
		number: map[*node]int{root: 1},
		ident:  map[*node][]byte{root: {0}},
		kids:   map[*node][]*node{},
		place:  map[*node]extent{},
		stamp:  stamp,
		rock:   rock,
	}
	// The list grows while it is walked: level by level, as the path table wants.
	for i := 0; i < len(h.dirs); i++ {
		d := h.dirs[i]
		ids := names(d)
		for _, c := range d.children {
			if id := ids[c]; id != nil {
				h.ident[c] = id
				h.kids[d] = append(h.kids[d], c)
			}
		}
		kids := h.kids[d]
		sort.Slice(kids, func(i, j int) bool { return bytes.Compare(h.ident[kids[i]], h.ident[kids[j]]) < 0 })
		for _, c := range kids {
			if c.Mode.IsDir() {
				h.dirs = append(h.dirs, c)
				h.number[c] = len(h.dirs)
			}
		}
	}
	return h
}

// directory renders one directory's extent, whole sectors. Positions not yet
// known come out as zero; the length does not depend on them.
func (h *hierarchy) directory(d *node) []byte {
	var out []byte
	add := func(n *node, role role, ident []byte) {
		rec := h.record(n, role, ident)
		if len(out)%sector+len(rec) > sector { // no record may cross a sector
			out = padSector(out)
		}
		out = append(out, rec...)
	}
	add(d, self, []byte{0})
	add(d.parent, parent, []byte{1})
	for _, c := range h.kids[d] {
		add(c, child, h.ident[c])
	}
	return padSector(out)
}

// record renders a directory record (ECMA-119 9.1).
func (h *hierarchy) record(n *node, role role, ident []byte) []byte {
	const head, maxRecord, isDir = 33, 254, 0x02
	ext, flags := n.data, byte(0)
	if n.Mode.IsDir() {
		ext, flags = h.place[n], isDir
	}
	out := make([]byte, 2, maxRecord)
	out = appendBoth32(out, ext.lba)
	out = appendBoth32(out, ext.size)
	out = append(out, h.stamp[:]...)
	out = append(out, flags, 0, 0)
	out = appendBoth16(out, 1) // volume sequence number
	out = append(out, byte(len(ident)))
	out = append(out, ident...)
	if len(out)%2 != 0 {
		out = append(out, 0)
	}
	if h.rock != nil {
		out = append(out, h.rock.fields(n, role, maxRecord-len(out))...)
		if len(out)%2 != 0 {
			out = append(out, 0)
		}
	}
	out[0] = byte(len(out))
	return out
}

// rootRecord is the copy of the root's record in a volume descriptor, without
// system use fields.
func (h *hierarchy) rootRecord() []byte {
	bare := *h
	bare.rock = nil
	return bare.record(h.dirs[0], self, []byte{0})
}

// pathTable renders the path table (ECMA-119 9.4), numbers in the given order.
func (h *hierarchy) pathTable(order binary.AppendByteOrder) []byte {
	var out []byte
	for _, d := range h.dirs {
		id := h.ident[d]
		out = append(out, byte(len(id)), 0)
		out = order.AppendUint32(out, h.place[d].lba)
		out = order.AppendUint16(out, uint16(h.number[d.parent]))
		out = append(out, id...)
		if len(id)%2 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// render returns all directories, and after them the continuation area.
func (h *hierarchy) render() []byte {
	if h.rock != nil {
		h.rock.area = nil
	}
	var out []byte
	for _, d := range h.dirs {
		out = append(out, h.directory(d)...)
	}
	if h.rock != nil {
		out = append(out, padSector(h.rock.area)...)
	}
	return out
}

// settle gives the tables and directories their sectors, from next on, and
// returns the first sector behind them.
func (h *hierarchy) settle(next uint32) uint32 {
	table := sectors(int64(len(h.pathTable(binary.LittleEndian))))
	h.tables = [2]uint32{next, next + table}
	next += 2 * table
	if h.rock != nil {
		h.rock.area = nil
	}
	for _, d := range h.dirs {
		size := uint32(len(h.directory(d)))
		h.place[d] = extent{lba: next, size: size}
		next += size / sector
	}
	if h.rock != nil {
		h.rock.base = next
		next += sectors(int64(len(h.rock.area)))
	}
	return next
}

// sectors is how many sectors hold n bytes.
func sectors(n int64) uint32 { return uint32((n + sector - 1) / sector) }

// padSector fills the last sector with zeros.
func padSector(b []byte) []byte {
	if n := len(b) % sector; n != 0 {
		b = append(b, make([]byte, sector-n)...)
	}
	return b
}

// appendBoth32 appends a number little end first, then big end first.
func appendBoth32(b []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, v), v)
}

func appendBoth16(b []byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, v), v)
}
