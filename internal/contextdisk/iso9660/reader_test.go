package iso9660

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// found is what a reader makes of one file.
type found struct {
	mode     uint32 // POSIX; 0 in the Joliet tree
	links    uint32
	uid, gid uint32
	target   string
	content  string
}

// image is a reader as small as can be, for tests: it trusts nothing, and
// shares no code with the writer.
type image struct {
	t      testing.TB
	b      []byte
	joliet bool
	seen   map[uint32]bool // directories, to notice loops
}

func (im *image) fail(format string, args ...any) { im.t.Helper(); im.t.Fatalf(format, args...) }

// both reads a number stored both ways, and demands that they agree.
func (im *image) both(b []byte) uint32 {
	le, be := binary.LittleEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if le != be {
		im.fail("both-endian field: %d and %d", le, be)
	}
	return le
}

func (im *image) at(lba, size uint32) []byte {
	from := int64(lba) * 2048
	if from+int64(size) > int64(len(im.b)) {
		im.fail("extent %d+%d is outside the image of %d bytes", lba, size, len(im.b))
	}
	return im.b[from : from+int64(size)]
}

// readTree reads one of the trees: path to file.
func readTree(t testing.TB, b []byte, joliet bool) (label string, files map[string]found) {
	t.Helper()
	im := &image{t: t, b: b, joliet: joliet, seen: map[uint32]bool{}}
	n := 16
	if joliet {
		n = 17
	}
	vd := im.at(uint32(n), 2048)
	if string(vd[1:6]) != "CD001" || vd[0] != byte(n-15) {
		t.Fatalf("sector %d is not the descriptor sought", n)
	}
	if joliet && string(vd[88:91]) != "%/E" {
		t.Fatal("no Joliet escape sequence")
	}
	if total := im.both(vd[80:]); int(total)*2048 != len(b) {
		t.Fatalf("volume of %d sectors, image of %d bytes", total, len(b))
	}
	label = im.name(vd[40:72])
	files = map[string]found{}
	im.checkPathTables(vd)
	im.dir(vd[156:190], "", files)
	return strings.TrimRight(label, " "), files
}

// checkPathTables demands that the two path tables agree with each other, with
// their order and with the directories they point at.
func (im *image) checkPathTables(vd []byte) {
	size := im.both(vd[132:])
	l := im.at(binary.LittleEndian.Uint32(vd[140:]), size)
	m := im.at(binary.BigEndian.Uint32(vd[148:]), size)
	type row struct {
		lba    uint32
		parent uint16
		id     string
	}
	read := func(b []byte, o binary.ByteOrder) (out []row) {
		for len(b) > 0 {
			n := int(b[0])
			out = append(out, row{o.Uint32(b[2:]), o.Uint16(b[6:]), string(b[8 : 8+n])})
			b = b[8+n+n%2:]
		}
		return out
	}
	rows, other := read(l, binary.LittleEndian), read(m, binary.BigEndian)
	if fmt.Sprint(rows) != fmt.Sprint(other) {
		im.fail("path tables differ:\n%v\n%v", rows, other)
	}
	for i, r := range rows {
		self := im.at(r.lba, 34)
		if im.both(self[2:]) != r.lba || self[33] != 0 {
			im.fail("path table row %d does not point at a directory", i)
		}
		up := im.at(r.lba, 2048)[self[0]:]
		if want := rows[r.parent-1].lba; im.both(up[2:]) != want {
			im.fail("row %d: parent at %d, table says %d", i, im.both(up[2:]), want)
		}
		if i > 1 && (r.parent < rows[i-1].parent || r.parent == rows[i-1].parent && r.id <= rows[i-1].id) {
			im.fail("path table is not in order at row %d", i)
		}
	}
}

func (im *image) name(b []byte) string {
	if !im.joliet {
		return string(b)
	}
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

// dir reads the directory that rec names.
func (im *image) dir(rec []byte, path string, files map[string]found) {
	lba, size := im.both(rec[2:]), im.both(rec[10:])
	if im.seen[lba] {
		im.fail("directory %q again", path)
	}
	im.seen[lba] = true
	if size%2048 != 0 || size == 0 {
		im.fail("directory %q of %d bytes", path, size)
	}
	data := im.at(lba, size)
	last := ""
	for i, n := 0, 0; i < len(data); n++ {
		length := int(data[i])
		if length == 0 { // the rest of the sector is empty
			next := (i/2048 + 1) * 2048
			if len(bytes.Trim(data[i:next], "\x00")) != 0 {
				im.fail("%q: bytes behind the last record of a sector", path)
			}
			i = next
			continue
		}
		if length%2 != 0 || i/2048 != (i+length-1)/2048 {
			im.fail("%q: record of %d bytes at %d", path, length, i)
		}
		r := data[i : i+length]
		i += length
		idLen := int(r[32])
		id := string(r[33 : 33+idLen])
		use := r[33+idLen+(idLen+1)%2:]
		f, real := im.rock(use, n)
		switch n {
		case 0, 1:
			if id != string([]byte{byte(n)}) {
				im.fail("%q: record %d is called %q", path, n, id)
			}
			if n == 0 && im.both(r[2:]) != lba {
				im.fail("%q: does not point at itself", path)
			}
			if n == 0 {
				files[strings.TrimSuffix(path, "/")+"/."] = f
			}
			continue
		}
		if id <= last {
			im.fail("%q: %q behind %q", path, id, last)
		}
		last = id
		isDir := r[25]&2 != 0
		if im.joliet {
			real = im.name([]byte(id))
			if !isDir {
				var ok bool
				if real, ok = strings.CutSuffix(real, ";1"); !ok {
					im.fail("%q: no version in %q", path, id)
				}
			}
		} else {
			checkPlain(im, id, isDir)
		}
		if _, twice := files[path+real]; twice {
			im.fail("%q twice", path+real)
		}
		if isDir {
			files[path+real] = f
			im.dir(r, path+real+"/", files)
			continue
		}
		f.content = string(im.at(im.both(r[2:]), im.both(r[10:])))
		files[path+real] = f
	}
}

func checkPlain(im *image, id string, isDir bool) {
	base := id
	if !isDir {
		var ok bool
		if base, ok = strings.CutSuffix(id, ";1"); !ok || strings.Count(base, ".") != 1 {
			im.fail("file identifier %q", id)
		}
	}
	if len(base) > 31 || strings.Trim(base, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") != "" {
		im.fail("identifier %q", id)
	}
}

// rock reads the system use fields of record number n.
func (im *image) rock(b []byte, n int) (f found, name string) {
	var sl []string
	var slJoin bool
	for len(b) >= 4 {
		sig, length := string(b[:2]), int(b[2])
		if b[3] != 1 || length < 4 || length > len(b) {
			im.fail("system use field % x", b)
		}
		v := b[:length]
		b = b[length:]
		switch sig {
		case "SP":
			if n != 0 || v[4] != 0xbe || v[5] != 0xef {
				im.fail("SP in record %d: % x", n, v)
			}
		case "PX":
			f.mode, f.links, f.uid, f.gid = im.both(v[4:]), im.both(v[12:]), im.both(v[20:]), im.both(v[28:])
		case "NM":
			name += string(v[5:])
		case "SL":
			for c := v[5:]; len(c) > 0; c = c[2+int(c[1]):] {
				text := string(c[2 : 2+int(c[1])])
				switch c[0] &^ 1 {
				case 2:
					text = "."
				case 4:
					text = ".."
				case 8:
					text = ""
				}
				if slJoin {
					sl[len(sl)-1] += text
				} else {
					sl = append(sl, text)
				}
				slJoin = c[0]&1 != 0
			}
		case "CE":
			if len(bytes.Trim(b, "\x00")) != 0 {
				im.fail("fields behind a CE: % x", b)
			}
			lba, off, size := im.both(v[4:]), im.both(v[12:]), im.both(v[20:])
			if off+size > 2048 {
				im.fail("continuation of %d bytes at %d crosses a block", size, off)
			}
			b = im.at(lba, 2048)[off : off+size]
		case "TF":
			if v[4] != 0x0e || len(v) != 26 {
				im.fail("TF % x", v)
			}
		case "ER":
			if string(v[8:18]) != "RRIP_1991A" {
				im.fail("ER %q", v)
			}
		default:
			im.fail("field %q", sig)
		}
	}
	f.target = strings.Join(sl, "/")
	return f, name
}
