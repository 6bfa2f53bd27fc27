package one

import (
	"strconv"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Disk returns the DISK of an id in the template of a VM.
func Disk(t *tmpl.Template, id int) (disk tmpl.Vector, ok bool) {
	for _, v := range t.Vectors("DISK") {
		if v.Get("DISK_ID") == strconv.Itoa(id) {
			return v, true
		}
	}
	return nil, false
}

// NextDisk returns the id of the next disk of a VM; the context disk has one too.
// Source: resources reference §1.3.
func NextDisk(t *tmpl.Template) int {
	next := 0
	for _, v := range append(t.Vectors("DISK"), t.Vector("CONTEXT")) {
		if id, err := strconv.Atoi(v.Get("DISK_ID")); err == nil && id >= next {
			next = id + 1
		}
	}
	return next
}

// EditDisks returns the template with each disk as f returns it; nil removes it.
func EditDisks(t *tmpl.Template, f func(disk tmpl.Vector) tmpl.Vector) *tmpl.Template {
	return editVectors(t, "DISK", f)
}

// WithDisk returns the template with the disk of disk's id replaced by disk.
func WithDisk(t *tmpl.Template, disk tmpl.Vector) *tmpl.Template {
	return EditDisks(t, func(v tmpl.Vector) tmpl.Vector {
		if v.Get("DISK_ID") == disk.Get("DISK_ID") {
			return disk
		}
		return v
	})
}

// WithoutDisk returns the template without the disk of an id.
func WithoutDisk(t *tmpl.Template, id int) *tmpl.Template {
	return EditDisks(t, func(v tmpl.Vector) tmpl.Vector {
		if v.Get("DISK_ID") == strconv.Itoa(id) {
			return nil
		}
		return v
	})
}
