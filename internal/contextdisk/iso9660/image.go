package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Where the fixed parts of an image begin, in sectors.
const (
	systemArea = 16 // sectors of zeros at the start
	firstFree  = systemArea + 3
)

// Image is a planned CD image: everything has its place, no file has been read.
type Image struct {
	meta  []byte  // the sectors between the system area and the file contents
	files []*node // in the order of their contents
	size  int64   // bytes of the whole image
}

// New plans an image of the entries. label is its volume label: 1 to 16
// characters of A–Z, 0–9 and underscore. stamp is the time every file and the
// volume bear, to the second, in UTC; its year must be 1900 to 2155.
func New(label string, stamp time.Time, entries []Entry) (*Image, error) {
	if label == "" || len(label) > 16 || plain(label) != label {
		return nil, fmt.Errorf("volume label %q: expected 1 to 16 characters of A-Z, 0-9 and _", clip(label))
	}
	stamp = stamp.UTC()
	if y := stamp.Year(); y < 1900 || y > 2155 {
		return nil, fmt.Errorf("time %v: expected a year from 1900 to 2155", stamp)
	}
	root, err := buildTree(entries)
	if err != nil {
		return nil, err
	}
	short := shortTime(stamp)
	primary := newHierarchy(root, short, plainNames, &rockRidge{stamp: short})
	joliet := newHierarchy(root, short, jolietNames, nil)

	im := &Image{}
	next := joliet.settle(primary.settle(firstFree))
	end := int64(next)
	root.walk(func(n *node) {
		if n.Mode.IsRegular() {
			if n.Size > 0 { // an empty file has no place
				n.data = extent{lba: uint32(end), size: uint32(n.Size)}
			}
			im.files = append(im.files, n)
			end += int64(sectors(n.Size))
		}
	})
	if end > math.MaxUint32 {
		return nil, errors.New("files together are too large for one image")
	}
	im.size = end * sector
	volume := volume{label: label, stamp: stamp, sectors: uint32(end)}
	im.meta = append(im.meta, volume.primary(primary)...)
	im.meta = append(im.meta, volume.joliet(joliet)...)
	im.meta = append(im.meta, terminator()...)
	for _, h := range []*hierarchy{primary, joliet} {
		im.meta = append(im.meta, padSector(h.pathTable(binary.LittleEndian))...)
		im.meta = append(im.meta, padSector(h.pathTable(binary.BigEndian))...)
		im.meta = append(im.meta, h.render()...)
	}
	return im, nil
}

// Size is the length of the image in bytes, a multiple of 2048.
func (im *Image) Size() int64 { return im.size }

// WriteTo streams the image to w. It opens each file once, and fails if one
// does not have the size it was planned with.
func (im *Image) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: w}
	if _, err := out.Write(make([]byte, systemArea*sector)); err != nil {
		return out.n, err
	}
	if _, err := out.Write(im.meta); err != nil {
		return out.n, err
	}
	buf := make([]byte, 64<<10)
	for _, f := range im.files {
		if err := copyFile(out, f, buf); err != nil {
			return out.n, fmt.Errorf("file %q: %w", clip(f.Path), err)
		}
	}
	return out.n, nil
}

func copyFile(out io.Writer, f *node, buf []byte) (err error) {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() {
		if e := r.Close(); err == nil {
			err = e
		}
	}()
	// One byte more than planned is asked for, to notice a file that grew.
	n, err := io.CopyBuffer(&limit{out, f.Size}, io.LimitReader(r, f.Size+1), buf)
	if err != nil {
		return err
	}
	if n != f.Size {
		return fmt.Errorf("read %d bytes, planned were %d", n, f.Size)
	}
	if rest := n % sector; rest != 0 {
		_, err = out.Write(make([]byte, sector-rest))
	}
	return err
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// limit refuses more than left bytes.
type limit struct {
	w    io.Writer
	left int64
}

func (l *limit) Write(b []byte) (int, error) {
	if int64(len(b)) > l.left {
		return 0, errors.New("longer than planned")
	}
	l.left -= int64(len(b))
	return l.w.Write(b)
}

// volume is what the volume descriptors say.
type volume struct {
	label   string
	stamp   time.Time
	sectors uint32
}

// primary renders the primary volume descriptor (ECMA-119 8.4).
func (v volume) primary(h *hierarchy) []byte {
	text := func(s string, n int) []byte { return []byte(s + strings.Repeat(" ", n-len(s))) }
	return v.descriptor(1, nil, text, h)
}

// joliet renders the supplementary volume descriptor of the Joliet tree. The
// escape sequence announces UCS-2 level 3.
func (v volume) joliet(h *hierarchy) []byte {
	text := func(s string, n int) []byte {
		b := ucs2(s + strings.Repeat(" ", n/2-len(s)))
		return append(b, make([]byte, n-len(b))...) // an odd field ends in a zero
	}
	return v.descriptor(2, []byte("%/E"), text, h)
}

func (v volume) descriptor(kind byte, escapes []byte, text func(s string, n int) []byte, h *hierarchy) []byte {
	b := append(make([]byte, 0, sector), kind)
	b = append(b, "CD001\x01\x00"...)
	b = append(b, text("LINUX", 32)...)
	b = append(b, text(v.label, 32)...)
	b = append(b, make([]byte, 8)...)
	b = appendBoth32(b, v.sectors)
	b = append(b, escapes...)
	b = append(b, make([]byte, 32-len(escapes))...)
	b = appendBoth16(b, 1) // volumes in the set
	b = appendBoth16(b, 1) // this one's number
	b = appendBoth16(b, sector)
	b = appendBoth32(b, uint32(len(h.pathTable(binary.LittleEndian))))
	b = binary.LittleEndian.AppendUint32(b, h.tables[0])
	b = binary.LittleEndian.AppendUint32(b, 0) // no second copies
	b = binary.BigEndian.AppendUint32(b, h.tables[1])
	b = binary.BigEndian.AppendUint32(b, 0)
	b = append(b, h.rootRecord()...)
	b = append(b, text("", 128)...)       // volume set
	b = append(b, text("", 128)...)       // publisher
	b = append(b, text("", 128)...)       // data preparer
	b = append(b, text("TRIFID", 128)...) // application
	for range 3 {                         // copyright, abstract and bibliography files
		b = append(b, text("", 37)...)
	}
	b = append(b, longTime(v.stamp)...) // created
	b = append(b, longTime(v.stamp)...) // modified
	b = append(b, noTime...)            // expires
	b = append(b, noTime...)            // effective from
	b = append(b, 1, 0)                 // file structure version
	return padSector(b)
}

// terminator renders the end of the descriptors.
func terminator() []byte { return padSector([]byte("\xffCD001\x01")) }

// noTime is the long form of "not given" (ECMA-119 8.4.26.1).
const noTime = "0000000000000000\x00"

// longTime is the time of volume descriptors: digits to the hundredth of a
// second, and the offset from UTC.
func longTime(t time.Time) string {
	return t.Format("20060102150405") + "00\x00"
}
