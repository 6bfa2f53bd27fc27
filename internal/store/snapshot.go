package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// A snapshot file is a line of JSON that says what it is, then each key and
// value with their lengths before them as varints, a key of length 0, the number
// of keys as a varint, and the SHA-256 of everything before it.

// SnapshotInfo says what a snapshot holds.
type SnapshotInfo struct {
	Magic    string         `json:"magic"`
	Version  int            `json:"version"`  // of the file's form
	Format   int            `json:"format"`   // of the store
	Kinds    map[string]int `json:"kinds"`    // version of each kind of value
	Revision int64          `json:"revision"` // of the state it holds
	Epoch    uint64         `json:"epoch"`    // of the newest term it knows of
	Taken    int64          `json:"taken"`    // epoch seconds
	Keys     int            `json:"-"`
}

const (
	snapshotMagic   = "trifid snapshot"
	snapshotVersion = 1
	maxHeaderLen    = 64 << 10
	maxStoredValue  = 4 << 20 // etcd takes less
)

// Snapshot writes the state as of one revision. Any member can do it; it takes
// memory for the state's keys and values. Whoever keeps what was written checks
// it with InspectSnapshot.
func (s *Store) Snapshot(ctx context.Context, to io.Writer) (SnapshotInfo, error) {
	var all []op
	rev, err := s.log.load(ctx, func(page []op) error {
		all = append(all, page...)
		return nil
	})
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot: read the state: %w", err)
	}
	info := SnapshotInfo{Magic: snapshotMagic, Version: snapshotVersion, Revision: rev, Taken: s.cfg.Now().Unix()}
	kept := all[:0]
	for _, o := range all {
		switch {
		case o.key == keyEpoch:
			var e epochRecord
			err = decodeMeta(o, &e)
			info.Epoch = e.Epoch
		case o.key == keyFormat:
			var f format
			err = decodeMeta(o, &f)
			info.Format, info.Kinds = f.Format, f.Kinds
		case isState(o.key):
			kept = append(kept, o)
		}
		if err != nil {
			return SnapshotInfo{}, fmt.Errorf("snapshot: %w", err)
		}
	}
	info.Keys = len(kept)
	if err := writeSnapshot(to, info, kept); err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot: %w", err)
	}
	return info, nil
}

func writeSnapshot(out io.Writer, info SnapshotInfo, ops []op) error {
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(out, sum), 1<<16)
	head, err := json.Marshal(info)
	if err != nil {
		return err
	}
	buf := append(head, '\n')
	for _, o := range ops {
		buf = binary.AppendUvarint(buf, uint64(len(o.key)))
		buf = append(buf, o.key...)
		buf = binary.AppendUvarint(buf, uint64(len(o.val)))
		buf = append(buf, o.val...)
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	buf = binary.AppendUvarint(append(buf, 0), uint64(len(ops)))
	if _, err := w.Write(buf); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = out.Write(sum.Sum(nil))
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// InspectSnapshot reads a snapshot file through and returns what it holds; it
// fails if the file is damaged.
func InspectSnapshot(path string) (SnapshotInfo, error) {
	info, err := readSnapshotFile(path, func(op) error { return nil })
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot %s: %w", path, err)
	}
	return info, nil
}

func readSnapshotFile(path string, each func(op) error) (SnapshotInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer f.Close()
	return readSnapshot(f, each)
}

// errDamaged tells that a snapshot is not what was written.
var errDamaged = errors.New("the file is damaged")

// readSnapshot hands out the keys and values of a snapshot. What it handed out
// is only to be trusted when it returns without error.
func readSnapshot(in io.Reader, each func(op) error) (SnapshotInfo, error) {
	r := &summedReader{r: bufio.NewReaderSize(in, 1<<16), sum: sha256.New()}
	info, err := readSnapshotHead(r)
	if err != nil {
		return info, err
	}
	for {
		key, err := r.field(maxNameLen + 64)
		if err != nil {
			return info, err
		}
		if len(key) == 0 {
			break
		}
		val, err := r.field(maxStoredValue)
		if err != nil {
			return info, err
		}
		if len(val) == 0 || !isState(string(key)) {
			return info, fmt.Errorf("%w: %q is no key of a state, or has no value", errDamaged, key)
		}
		info.Keys++
		if err := each(op{string(key), string(val)}); err != nil {
			return info, err
		}
	}
	keys, err := binary.ReadUvarint(r)
	if err != nil || keys != uint64(info.Keys) {
		return info, fmt.Errorf("%w: it ends after %d of %d keys", errDamaged, info.Keys, keys)
	}
	want := r.sum.Sum(nil)
	got := make([]byte, len(want)+1)
	if n, err := io.ReadFull(r.r, got); err != io.ErrUnexpectedEOF || !bytes.Equal(got[:n], want) {
		return info, fmt.Errorf("%w: its checksum does not match", errDamaged)
	}
	return info, nil
}

func readSnapshotHead(r *summedReader) (SnapshotInfo, error) {
	var info SnapshotInfo
	var head []byte
	for len(head) < maxHeaderLen {
		b, err := r.ReadByte()
		if err != nil {
			return info, fmt.Errorf("%w: it has no head", errDamaged)
		}
		if b == '\n' {
			break
		}
		head = append(head, b)
	}
	if err := json.Unmarshal(head, &info); err != nil || info.Magic != snapshotMagic {
		return info, errors.New("the file is not a snapshot")
	}
	if info.Version > snapshotVersion {
		return info, fmt.Errorf("the snapshot has version %d, this program knows %d: %w", info.Version, snapshotVersion, ErrNewerData)
	}
	return info, nil
}

// summedReader reads and sums what it reads.
type summedReader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// ReadByte reads one byte.
func (r *summedReader) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.sum.Write([]byte{b})
	}
	return b, err
}

// field reads a length and so many bytes.
func (r *summedReader) field(most uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, fmt.Errorf("%w: it ends too early", errDamaged)
	}
	if n > most {
		return nil, fmt.Errorf("%w: a field of %d bytes, expected at most %d", errDamaged, n, most)
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(r.r, out); err != nil {
		return nil, fmt.Errorf("%w: it ends too early", errDamaged)
	}
	r.sum.Write(out)
	return out, nil
}
