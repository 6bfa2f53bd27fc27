package store

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var updateFixture = flag.Bool("update", false, "write testdata/format-<n>.snapshot anew")

// Data that an earlier build of this format wrote can still be read, whole, and
// is written the same. Until the first release -update makes the file anew; after
// it, only a new format makes a new file, and the old ones stay.
func TestFormatFixture(t *testing.T) {
	path := filepath.Join("testdata", "format-1.snapshot")
	if *updateFixture {
		tx := newTx(&State{})
		if err := putEverything(tx); err != nil {
			t.Fatal(err)
		}
		ops, err := newEncoder(newCodecs()).encodeTx(tx)
		if err != nil {
			t.Fatal(err)
		}
		f := newCodecs().format()
		info := SnapshotInfo{Magic: snapshotMagic, Version: snapshotVersion, Format: f.Format, Kinds: f.Kinds, Revision: 2, Epoch: 1}
		var buf bytes.Buffer
		if err := writeSnapshot(&buf, info, ops); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cs := newCodecs()
	enc := newEncoder(cs)
	tx := newTx(&State{})
	var values []decoded
	kinds := map[Kind]bool{}
	info, err := readSnapshotFile(path, func(o op) error {
		d, err := cs.decode(o.key, []byte(o.val))
		if err != nil {
			return err
		}
		if d.unknown != nil || d.stale {
			t.Errorf("%s: this program has lost fields, or its version, of %s", o.key, o.val)
		}
		values = append(values, d)
		kinds[d.slot.kind] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := (format{info.Format, info.Kinds}); f.check(cs) != nil {
		t.Error(f.check(cs))
	}
	if err := cs.apply(tx, values); err != nil {
		t.Fatal(err)
	}
	if len(kinds) < len(info.Kinds) {
		t.Errorf("the fixture has %d of its %d kinds", len(kinds), len(info.Kinds))
	}
	// Written and read again it is the same state.
	again := newTx(&State{})
	var back []decoded
	ops, err := enc.encodeTx(tx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		d, err := cs.decode(o.key, []byte(o.val))
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, d)
	}
	if err := cs.apply(again, back); err != nil {
		t.Fatal(err)
	}
	sameState(t, "written again", &again.State, &tx.State)
}
