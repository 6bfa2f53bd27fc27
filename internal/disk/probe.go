package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The formats of disks.
const (
	Raw   = "raw"
	Qcow2 = "qcow2"
)

// checkFormat refuses formats we do not write.
func checkFormat(format string) error {
	if format != Raw && format != Qcow2 {
		return fmt.Errorf("FORMAT %q is not supported, expected %s or %s", format, Raw, Qcow2)
	}
	return nil
}

// Image is what the header of a disk image says.
type Image struct {
	Format string
	Size   int64 // bytes the guest sees
}

// SizeMB is the size in MB, rounded up.
func (i Image) SizeMB() int64 { return (i.Size + mb - 1) / mb }

// qcow2Header is the part of a qcow2 header that tells what it is. Big endian.
// Source: QEMU, docs/interop/qcow2.txt.
type qcow2Header struct {
	Magic         [4]byte
	Version       uint32
	BackingOffset uint64
	BackingSize   uint32
	ClusterBits   uint32
	Size          uint64
	Crypt         uint32
	L1Size        uint32
	L1Offset      uint64
	RefOffset     uint64
	RefClusters   uint32
	Snapshots     uint32
	SnapOffset    uint64
	// From version 3 on.
	Incompatible uint64
}

const (
	qcow2V2Bytes      = 72
	qcow2V3Bytes      = 80
	incompatibleData  = 1 << 2   // the data is in another file
	incompatibleKnown = 1<<5 - 1 // dirty, corrupt, data file, compression, extended L2
	maxImage          = 1 << 60
)

// foreign are formats that would boot nothing when taken for raw.
var foreign = []struct {
	name   string
	offset int
	magic  string
}{
	{"vmdk", 0, "KDMV"}, {"vmdk", 0, "COWD"}, {"vmdk", 0, "# Disk DescriptorFile"},
	{"vhdx", 0, "vhdxfile"}, {"vpc", 0, "conectix"}, {"qed", 0, "QED\x00"},
	{"vdi", 64, "\x7f\x10\xda\xbe"}, {"qcow", 0, "QFI\xfb\x00\x00\x00\x01"},
}

// Probe reads the header of an image from someone we do not trust. It happens in
// this process and looks at a few bytes: whatever follows a reference to another
// file could be made to read any file of the host, so an image with one is
// refused.
func Probe(f *os.File) (Image, error) {
	info, err := f.Stat()
	if err != nil {
		return Image{}, err
	}
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Image{}, err
	}
	return probe(head[:n], info.Size())
}

// ProbePath is Probe for a file by its path.
func ProbePath(path string) (Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	i, err := Probe(f)
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", path, err)
	}
	return i, nil
}

// probe tells what an image of fileSize bytes is that begins with head.
func probe(head []byte, fileSize int64) (Image, error) {
	for _, f := range foreign {
		if len(head) >= f.offset && bytes.HasPrefix(head[f.offset:], []byte(f.magic)) {
			return Image{}, fmt.Errorf("images in format %s are not supported: convert it with qemu-img convert", f.name)
		}
	}
	if !bytes.HasPrefix(head, []byte("QFI\xfb")) {
		return Image{Format: Raw, Size: fileSize}, nil
	}
	var h qcow2Header
	if len(head) < qcow2V3Bytes {
		return Image{}, errors.New("qcow2 header: the file is too short")
	}
	if err := binary.Read(bytes.NewReader(head), binary.BigEndian, &h); err != nil {
		return Image{}, fmt.Errorf("qcow2 header: %w", err)
	}
	if h.Version == 2 {
		h.Incompatible = 0 // these bytes are something else there
	}
	switch {
	case h.Version != 2 && h.Version != 3:
		return Image{}, fmt.Errorf("qcow2 header: version %d, expected 2 or 3", h.Version)
	case h.BackingOffset != 0 || h.BackingSize != 0:
		return Image{}, errors.New("the qcow2 image has a backing file, which is not allowed: flatten it with qemu-img convert")
	case h.Incompatible&incompatibleData != 0:
		return Image{}, errors.New("the qcow2 image keeps its data in another file, which is not allowed: flatten it with qemu-img convert")
	case h.Incompatible&^incompatibleKnown != 0:
		return Image{}, fmt.Errorf("qcow2 header: unknown incompatible features %#x", h.Incompatible&^incompatibleKnown)
	case h.Crypt != 0:
		return Image{}, errors.New("encrypted qcow2 images are not supported")
	case h.ClusterBits < 9 || h.ClusterBits > 21:
		return Image{}, fmt.Errorf("qcow2 header: cluster bits %d, expected 9 to 21", h.ClusterBits)
	case h.Size > maxImage:
		return Image{}, fmt.Errorf("qcow2 header: size of %d bytes, the limit is %d", h.Size, int64(maxImage))
	}
	return Image{Format: Qcow2, Size: int64(h.Size)}, nil
}
