package one

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// DiskSnapshots are the snapshots of a disk, of which each but the first comes from
// another one, or of an image. Source: resources reference §3.5.
type DiskSnapshots struct {
	// Orphans tells that the snapshots do not depend on each other, Mixed that just the
	// one that the disk comes from and those with children must stay.
	Orphans, Mixed bool
	Base           int // the snapshot that the disk comes from, -1 for none
	Next           int // the id of the next one; ids are not used again
	All            []DiskSnapshot
}

// DiskSnapshot is one of them.
type DiskSnapshot struct {
	ID     int
	Name   string
	Date   int64 // epoch seconds
	Parent int   // the one it comes from, -1 for none
	Active bool  // the disk comes from it
	SizeMB int64
}

// NewDiskSnapshots returns those of a disk that has none yet. orphans is what its
// datastore says, YES, MIXED or FORMAT; all snapshots are in files of format qcow2,
// for which FORMAT means NO.
func NewDiskSnapshots(orphans string) DiskSnapshots {
	return DiskSnapshots{Orphans: tmpl.IsYes(orphans), Mixed: strings.EqualFold(orphans, "MIXED"), Base: -1}
}

// ReadDiskSnapshots returns the snapshots of a disk from those of a VM, false when
// it never had any.
func ReadDiskSnapshots(t *tmpl.Template, disk int) (DiskSnapshots, bool) {
	key := strconv.Itoa(disk)
	for _, tree := range t.Vectors("SNAPSHOTS") {
		if tree.Get("DISK_ID") == key {
			all := slices.Clone(t.Vectors("SNAPSHOT"))
			return readDiskSnapshots(tree.Get, slices.DeleteFunc(all, func(v tmpl.Vector) bool { return v.Get("DISK_ID") != key })), true
		}
	}
	return DiskSnapshots{}, false
}

// ReadImageSnapshots returns the snapshots of an image, false when it has none.
func ReadImageSnapshots(t *tmpl.Template) (DiskSnapshots, bool) {
	return readDiskSnapshots(t.Get, t.Vectors("SNAPSHOT")), t.Has("SNAPSHOT")
}

func readDiskSnapshots(get func(string) string, all []tmpl.Vector) DiskSnapshots {
	number := func(s string, otherwise int64) int64 {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	d := NewDiskSnapshots(get("ALLOW_ORPHANS"))
	d.Base, d.Next = int(number(get("CURRENT_BASE"), -1)), int(number(get("NEXT_SNAPSHOT"), 0))
	for _, v := range all {
		s := DiskSnapshot{
			ID: int(number(v.Get("ID"), -1)), Name: v.Get("NAME"), Date: number(v.Get("DATE"), 0), Parent: int(number(v.Get("PARENT"), -1)),
			Active: v.Bool("ACTIVE"), SizeMB: number(v.Get("SIZE"), 0),
		}
		d.All, d.Next = append(d.All, s), max(d.Next, s.ID+1)
	}
	return d
}

// WithDiskSnapshots returns a VM's snapshots of disks with those of one disk replaced.
func WithDiskSnapshots(t *tmpl.Template, disk int, d DiskSnapshots) *tmpl.Template {
	t = WithoutDiskSnapshots(t, disk)
	key := strconv.Itoa(disk)
	tree := tmpl.Vec("SNAPSHOTS", "ALLOW_ORPHANS", d.orphans(), "CURRENT_BASE", strconv.Itoa(d.Base), "DISK_ID", key, "NEXT_SNAPSHOT", strconv.Itoa(d.Next))
	as := []tmpl.Attr{tree}
	for _, s := range d.All {
		as = append(as, tmpl.Attr{Name: "SNAPSHOT", Vector: d.vector(s).With("DISK_ID", key)})
	}
	return t.Add(as...)
}

// WithoutDiskSnapshots returns a VM's snapshots of disks without those of one.
func WithoutDiskSnapshots(t *tmpl.Template, disk int) *tmpl.Template {
	key := strconv.Itoa(disk)
	for _, name := range []string{"SNAPSHOTS", "SNAPSHOT"} {
		all := t.Vectors(name)
		left := slices.DeleteFunc(slices.Clone(all), func(v tmpl.Vector) bool { return v.Get("DISK_ID") == key })
		if len(left) < len(all) {
			t = t.WithVectors(name, left)
		}
	}
	return t
}

// Template returns the snapshots as an image has them.
func (d DiskSnapshots) Template() *tmpl.Template {
	t := tmpl.New(
		tmpl.Single("ALLOW_ORPHANS", d.orphans()), tmpl.Single("CURRENT_BASE", strconv.Itoa(d.Base)), tmpl.Single("NEXT_SNAPSHOT", strconv.Itoa(d.Next)),
	)
	for _, s := range d.All {
		t = t.Add(tmpl.Attr{Name: "SNAPSHOT", Vector: d.vector(s)})
	}
	return t
}

func (d DiskSnapshots) orphans() string {
	switch {
	case d.Orphans:
		return "YES"
	case d.Mixed:
		return "MIXED"
	}
	return "NO"
}

func (d DiskSnapshots) vector(s DiskSnapshot) tmpl.Vector {
	v := tmpl.Vec("SNAPSHOT", "DATE", strconv.FormatInt(s.Date, 10), "ID", strconv.Itoa(s.ID), "NAME", s.Name,
		"PARENT", strconv.Itoa(s.Parent), "SIZE", strconv.FormatInt(s.SizeMB, 10)).Vector
	if s.Active {
		v = v.With("ACTIVE", "YES")
	}
	var children []string
	for _, c := range d.children(s.ID) {
		children = append(children, strconv.Itoa(c.ID))
	}
	if len(children) > 0 {
		v = v.With("CHILDREN", strings.Join(children, ","))
	}
	return v
}

func (d DiskSnapshots) children(id int) (out []DiskSnapshot) {
	for _, s := range d.All {
		if s.Parent == id {
			out = append(out, s)
		}
	}
	return out
}

// Find returns a snapshot.
func (d DiskSnapshots) Find(id int) (DiskSnapshot, bool) {
	i := slices.IndexFunc(d.All, func(s DiskSnapshot) bool { return s.ID == id })
	if i < 0 {
		return DiskSnapshot{}, false
	}
	return d.All[i], true
}

// TotalMB is what the snapshots count for.
func (d DiskSnapshots) TotalMB() (sum int64) {
	for _, s := range d.All {
		sum += s.SizeMB
	}
	return sum
}

// Taken returns the snapshots with a new one, which the disk comes from once it is
// made: see Active.
func (d DiskSnapshots) Taken(name string, sizeMB, date int64) (DiskSnapshots, int) {
	s := DiskSnapshot{ID: d.Next, Name: name, Date: date, Parent: -1, SizeMB: sizeMB}
	if !d.Orphans {
		s.Parent = d.Base
	}
	d.Next++
	d.All = append(slices.Clone(d.All), s)
	return d, s.ID
}

// Active returns the snapshots once the disk comes from one of them.
func (d DiskSnapshots) Active(id int) DiskSnapshots {
	d.Base = id
	d.All = slices.Clone(d.All)
	for i := range d.All {
		d.All[i].Active = d.All[i].ID == id
	}
	return d
}

// Renamed returns the snapshots with one of another name.
func (d DiskSnapshots) Renamed(id int, name string) DiskSnapshots {
	d.All = slices.Clone(d.All)
	for i := range d.All {
		if d.All[i].ID == id {
			d.All[i].Name = name
		}
	}
	return d
}

// Without returns the snapshots without one: what came from it comes from its parent.
func (d DiskSnapshots) Without(id int) DiskSnapshots {
	gone, ok := d.Find(id)
	if !ok {
		return d
	}
	d.All = slices.DeleteFunc(slices.Clone(d.All), func(s DiskSnapshot) bool { return s.ID == id })
	for i := range d.All {
		if d.All[i].Parent == id {
			d.All[i].Parent = gone.Parent
		}
	}
	if d.Base == id {
		d = d.Active(gone.Parent)
	}
	return d
}

// CheckDelete tells why a snapshot cannot be deleted, in the reference's words.
// Source: resources reference §3.5.
func (d DiskSnapshots) CheckDelete(id int, persistent bool) error {
	s, ok := d.Find(id)
	children := d.children(id)
	switch {
	case !ok:
		return errors.New("Snapshot does not exist")
	case d.Orphans:
		return nil
	case d.Mixed && s.Active:
		return errors.New("Cannot delete the active snapshot")
	case d.Mixed && len(children) > 0:
		return errors.New("Cannot delete snapshot with children")
	case d.Mixed:
		return nil
	case s.Active && len(children) > 0:
		return errors.New("Cannot delete the active snapshot with children")
	case len(children) > 1:
		return errors.New("Cannot delete snapshot with more than one children")
	case len(children) == 1 && len(d.children(children[0].ID)) > 0:
		return errors.New("Cannot delete snapshot if child has children")
	case s.Parent >= 0 && len(d.children(s.Parent)) > 1:
		return errors.New("Cannot delete snapshot if parent has more than one child")
	case id == 0 && persistent:
		return errors.New("Cannot delete snapshot 0 for persistent disk images")
	}
	return nil
}

// StoredMB is what the image counts for: its snapshots take their size again.
// Source: identity reference §10.4.
func (i *Image) StoredMB() int64 {
	d, _ := ReadImageSnapshots(i.Snapshots)
	return i.Size + d.TotalMB()
}
