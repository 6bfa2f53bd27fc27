package onexml

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AppendImage appends the document of an image. Source: XML-RPC reference §8.4.
func (d *Docs) AppendImage(dst []byte, i *one.Image) []byte {
	vms := d.State.ImageVMs.List(i.ID)
	dst = open(dst, "IMAGE")
	dst = head(dst, &i.Meta)
	dst = lock(dst, i.Lock)
	dst = permissions(dst, i.Perms)
	dst = num(dst, "TYPE", i.Type)
	dst = num(dst, "DISK_TYPE", i.DiskType)
	dst = flag(dst, "PERSISTENT", i.Persistent)
	dst = num(dst, "REGTIME", i.RegTime)
	dst = cdata(dst, "SOURCE", i.Source)
	dst = cdata(dst, "PATH", i.Path)
	dst = cdata(dst, "FORMAT", i.Format)
	dst = cdata(dst, "FS", i.FS)
	dst = num(dst, "SIZE", i.Size)
	dst = num(dst, "STATE", i.State)
	dst = num(dst, "PREV_STATE", i.PrevState)
	dst = num(dst, "RUNNING_VMS", len(vms))
	dst = num(dst, "CLONING_OPS", i.CloningOps)
	dst = num(dst, "CLONING_ID", i.CloningID)
	dst = num(dst, "TARGET_SNAPSHOT", i.TargetSnapshot)
	dst = num(dst, "DATASTORE_ID", i.DatastoreID)
	dst = bare(dst, "DATASTORE", i.Datastore)
	dst = ids(dst, "VMS", slices.Values(vms))
	dst = d.clones(dst, i)
	dst = AppendEmpty(dst, "APP_CLONES")
	dst = body(dst, "TEMPLATE", i.Template)
	dst = body(dst, "SNAPSHOTS", imageSnapshots(i.Snapshots))
	dst = AppendEmpty(dst, "BACKUP_INCREMENTS")
	return shut(dst, "IMAGE")
}

// clones appends the copies that are being made of an image, which is rarely any.
func (d *Docs) clones(dst []byte, i *one.Image) []byte {
	dst = open(dst, "CLONES")
	if i.CloningOps > 0 {
		for id, c := range d.State.Images.All() {
			if c.CloningID == i.ID {
				dst = num(dst, "ID", id)
			}
		}
	}
	return shut(dst, "CLONES")
}

// imageSnapshots completes the snapshots of an image that never had one.
func imageSnapshots(t *tmpl.Template) *tmpl.Template {
	for _, d := range [...]tmpl.Attr{{Name: "ALLOW_ORPHANS", Value: "NO"}, {Name: "CURRENT_BASE", Value: "-1"}, {Name: "NEXT_SNAPSHOT", Value: "0"}} {
		if !t.Has(d.Name) {
			t = t.Add(d)
		}
	}
	return t
}
