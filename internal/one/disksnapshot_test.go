package one

import (
	"fmt"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// grown returns snapshots as the words say: "c" takes one, "r2" goes back to 2, "d1"
// deletes 1.
func grown(d DiskSnapshots, words ...string) DiskSnapshots {
	for _, w := range words {
		id := -1
		if len(w) > 1 {
			if _, err := fmt.Sscanf(w[1:], "%d", &id); err != nil {
				panic(err)
			}
		}
		switch w[0] {
		case 'c':
			d, id = d.Taken(fmt.Sprintf("s%d", d.Next), 10, int64(100+d.Next))
			d = d.Active(id)
		case 'r':
			d = d.Active(id)
		case 'd':
			d = d.Without(id)
		}
	}
	return d
}

func TestDeleteRules(t *testing.T) {
	for _, c := range []struct {
		orphans    string
		words      []string
		id         int
		persistent bool
		want       string
	}{
		{"NO", nil, 0, false, "Snapshot does not exist"},
		{"NO", []string{"c"}, 0, false, ""},
		{"NO", []string{"c"}, 0, true, "Cannot delete snapshot 0 for persistent disk images"},
		{"NO", []string{"c", "c"}, 1, true, ""},
		{"NO", []string{"c", "c", "r0"}, 0, false, "Cannot delete the active snapshot with children"},
		{"NO", []string{"c", "c"}, 0, false, ""},
		{"NO", []string{"c", "c", "c"}, 0, false, "Cannot delete snapshot if child has children"},
		{"NO", []string{"c", "c", "r0", "c"}, 0, false, "Cannot delete snapshot with more than one children"},
		{"NO", []string{"c", "c", "r0", "c"}, 1, false, "Cannot delete snapshot if parent has more than one child"},
		{"FORMAT", []string{"c", "c", "r0"}, 0, false, "Cannot delete the active snapshot with children"},
		{"", []string{"c", "c", "r0"}, 0, false, "Cannot delete the active snapshot with children"},
		{"YES", []string{"c", "c", "r0"}, 0, true, ""},
		{"MIXED", []string{"c", "c"}, 1, false, "Cannot delete the active snapshot"},
		{"MIXED", []string{"c", "c"}, 0, false, "Cannot delete snapshot with children"},
		{"MIXED", []string{"c", "c", "r0"}, 1, false, ""},
	} {
		got := ""
		if err := grown(NewDiskSnapshots(c.orphans), c.words...).CheckDelete(c.id, c.persistent); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %v: delete %d: %q, want %q", c.orphans, c.words, c.id, got, c.want)
		}
	}
}

// TestDiskSnapshotsAsStored looks at the vectors, and reads them again.
func TestDiskSnapshotsAsStored(t *testing.T) {
	for _, c := range []struct {
		orphans string
		words   []string
		want    string
	}{
		{"NO", []string{"c"}, `SNAPSHOTS=[ALLOW_ORPHANS="NO",CURRENT_BASE="0",DISK_ID="2",NEXT_SNAPSHOT="1"]
			SNAPSHOT=[ACTIVE="YES",DATE="100",DISK_ID="2",ID="0",NAME="s0",PARENT="-1",SIZE="10"]`},
		{"NO", []string{"c", "c", "r0", "c"}, `SNAPSHOTS=[ALLOW_ORPHANS="NO",CURRENT_BASE="2",DISK_ID="2",NEXT_SNAPSHOT="3"]
			SNAPSHOT=[CHILDREN="1,2",DATE="100",DISK_ID="2",ID="0",NAME="s0",PARENT="-1",SIZE="10"]
			SNAPSHOT=[DATE="101",DISK_ID="2",ID="1",NAME="s1",PARENT="0",SIZE="10"]
			SNAPSHOT=[ACTIVE="YES",DATE="102",DISK_ID="2",ID="2",NAME="s2",PARENT="0",SIZE="10"]`},
		{"NO", []string{"c", "c", "d0"}, `SNAPSHOTS=[ALLOW_ORPHANS="NO",CURRENT_BASE="1",DISK_ID="2",NEXT_SNAPSHOT="2"]
			SNAPSHOT=[ACTIVE="YES",DATE="101",DISK_ID="2",ID="1",NAME="s1",PARENT="-1",SIZE="10"]`},
		{"NO", []string{"c", "c", "d1"}, `SNAPSHOTS=[ALLOW_ORPHANS="NO",CURRENT_BASE="0",DISK_ID="2",NEXT_SNAPSHOT="2"]
			SNAPSHOT=[ACTIVE="YES",DATE="100",DISK_ID="2",ID="0",NAME="s0",PARENT="-1",SIZE="10"]`},
		{"YES", []string{"c", "c"}, `SNAPSHOTS=[ALLOW_ORPHANS="YES",CURRENT_BASE="1",DISK_ID="2",NEXT_SNAPSHOT="2"]
			SNAPSHOT=[DATE="100",DISK_ID="2",ID="0",NAME="s0",PARENT="-1",SIZE="10"]
			SNAPSHOT=[ACTIVE="YES",DATE="101",DISK_ID="2",ID="1",NAME="s1",PARENT="-1",SIZE="10"]`},
		{"NO", []string{"c", "d0"}, `SNAPSHOTS=[ALLOW_ORPHANS="NO",CURRENT_BASE="-1",DISK_ID="2",NEXT_SNAPSHOT="1"]`},
	} {
		want, err := tmpl.Parse(c.want)
		if err != nil {
			t.Fatal(err)
		}
		other := WithDiskSnapshots(nil, 0, grown(NewDiskSnapshots("NO"), "c"))
		d := grown(NewDiskSnapshots(c.orphans), c.words...)
		got := WithoutDiskSnapshots(WithDiskSnapshots(WithDiskSnapshots(other, 2, grown(d, "c")), 2, d), 0)
		if !got.Equal(want) {
			t.Errorf("%v: %s\nwant %s", c.words, got.Text(), want.Text())
		}
		if back, ok := ReadDiskSnapshots(got, 2); !ok || !WithDiskSnapshots(nil, 2, back).Equal(want) {
			t.Errorf("%v: read again they are %+v", c.words, back)
		}
		if back, ok := ReadImageSnapshots(d.Template()); ok != (len(d.All) > 0) || !back.Template().Equal(d.Template()) {
			t.Errorf("%v: those of an image are %+v", c.words, back)
		}
		if d.TotalMB() != int64(10*len(d.All)) {
			t.Errorf("%v: they count for %d", c.words, d.TotalMB())
		}
	}
}
