package cloud

import (
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// storageRights: datastores, images and VM templates. Sources: XML-RPC reference
// §7.1, §7.13 and §7.14, identity reference §6.4.
func storageRights() []right {
	const cloning = "USE IMAGE/#0; CREATE IMAGE/*; USE DATASTORE/#1"
	return []right{
		{method: "AllocateDatastore", needs: "CREATE DATASTORE/*; ADMIN CLUSTER/#100", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateDatastore(w.ctx, who, parsed("NAME=new TYPE=SYSTEM_DS TM_MAD=dummy"), 100))
		}},
		{method: "UpdateDatastore", may: "owner", needs: "MANAGE DATASTORE/#100", call: func(w *world, who auth.Caller) error {
			return w.UpdateDatastore(w.ctx, who, 100, parsed("A=b"), 1)
		}},
		{method: "EnableDatastore", may: "owner", needs: "MANAGE DATASTORE/#101", call: func(w *world, who auth.Caller) error {
			return w.EnableDatastore(w.ctx, who, 101, false)
		}},
		{method: "DeleteDatastore", needs: "ADMIN DATASTORE/#100", call: func(w *world, who auth.Caller) error {
			return w.DeleteDatastore(w.ctx, who, 100)
		}},
		{method: "AllocateImage", may: "owner member chief", needs: "CREATE IMAGE/*; USE DATASTORE/#1", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateImage(w.ctx, who, parsed("NAME=new PATH=/var/tmp/new"), one.DefaultDS, true))
		}},
		{method: "CloneImage", may: "owner member chief", needs: cloning, call: func(w *world, who auth.Caller) error {
			return second(w.CloneImage(w.ctx, who, 0, "new", -1))
		}},
		{method: "CloneImage", what: "elsewhere", may: "owner member chief", needs: cloning + "; USE DATASTORE/#100", call: func(w *world, who auth.Caller) error {
			return second(w.CloneImage(w.ctx, who, 0, "new", 100))
		}},
		{method: "UpdateImage", may: "owner chief", needs: "MANAGE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateImage(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "EnableImage", may: "owner chief", needs: "MANAGE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.EnableImage(w.ctx, who, 0, false)
		}},
		{method: "PersistImage", may: "owner chief", needs: "MANAGE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.PersistImage(w.ctx, who, 0, true)
		}},
		{method: "RetypeImage", may: "owner chief", needs: "MANAGE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.RetypeImage(w.ctx, who, 0, "DATABLOCK")
		}},
		{method: "DeleteImage", may: "owner chief", needs: "MANAGE IMAGE/#0", call: func(w *world, who auth.Caller) error {
			return w.DeleteImage(w.ctx, who, 0, false)
		}},
		{method: "DeleteImage", what: "by force", needs: "ADMIN IMAGE/#1", call: func(w *world, who auth.Caller) error {
			return w.DeleteImage(w.ctx, who, 1, true)
		}},
		{method: "AllocateTemplate", may: "owner member chief", needs: "CREATE TEMPLATE/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateTemplate(w.ctx, who, parsed("NAME=new CPU=1 MEMORY=64")))
		}},
		{method: "CloneTemplate", may: "owner member chief", needs: "USE TEMPLATE/#1; CREATE TEMPLATE/*", call: func(w *world, who auth.Caller) error {
			return second(w.CloneTemplate(w.ctx, who, 1, "new", false))
		}},
		{method: "CloneTemplate", what: "recursively", may: "owner member chief", needs: "USE TEMPLATE/#1; CREATE TEMPLATE/*; " + cloning, call: func(w *world, who auth.Caller) error {
			return second(w.CloneTemplate(w.ctx, who, 1, "new", true))
		}},
		{method: "CloneForService", may: "owner member chief", needs: "USE TEMPLATE/#1; CREATE TEMPLATE/*; " + cloning, call: func(w *world, who auth.Caller) error {
			return w.try(func(tx *store.Tx) error { return second(w.CloneForService(tx, who, 1, "new", true)) })
		}},
		{method: "UpdateTemplate", may: "owner chief", needs: "MANAGE TEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return w.UpdateTemplate(w.ctx, who, 0, parsed("A=b"), 1)
		}},
		{method: "ChmodTemplate", may: "owner chief", needs: "MANAGE TEMPLATE/#1", call: chmodTemplate(7, false)},
		{method: "ChmodTemplate", what: "with images", may: "owner chief", needs: "MANAGE TEMPLATE/#1", call: chmodTemplate(7, true)},
		{method: "ChmodTemplate", what: "admin bit", needs: "ADMIN TEMPLATE/#1", call: chmodTemplate(2, true)},
		{method: "ExtendedTemplate", may: "owner member chief", needs: "USE TEMPLATE/#1; USE IMAGE/#0; USE NET/#0", call: func(w *world, who auth.Caller) error {
			return third(w.ExtendedTemplate(who, 1))
		}},
		{method: "DeleteTemplate", may: "owner chief", needs: "MANAGE TEMPLATE/#0", call: func(w *world, who auth.Caller) error {
			return w.DeleteTemplate(w.ctx, who, 0, false)
		}},
		{method: "DeleteTemplate", what: "with images", may: "owner chief", needs: "MANAGE TEMPLATE/#1", call: func(w *world, who auth.Caller) error {
			return w.DeleteTemplate(w.ctx, who, 1, true)
		}},
		{method: "Instantiate", may: "owner member chief", needs: usedByFull, call: instantiate("", false)},
		{method: "Instantiate", what: "with more", may: "owner member chief", needs: usedByFull + "; CREATE TEMPLATE/*", call: instantiate("A=b", false)},
		{method: "Instantiate", what: "persistent", may: "owner member chief", needs: usedByFull + "; CREATE TEMPLATE/*; CREATE IMAGE/*; USE DATASTORE/#1", call: instantiate("", true)},
		{method: "Instantiate", what: "for another", may: "chief", needs: usedByFull + "; CREATE TEMPLATE/*; MANAGE USER/#3; MANAGE GROUP/#1", call: instantiate("AS_UID=3 AS_GID=1", false)},
	}
}

// usedByFull is what one has to use to instantiate template 1.
const usedByFull = "USE TEMPLATE/#1; USE IMAGE/#0; USE NET/#0; USE SECGROUP/#100"

func instantiate(extra string, persistent bool) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error {
		var t *tmpl.Template
		if extra != "" {
			t = parsed(extra)
		}
		return second(w.Instantiate(w.ctx, who, 1, "new", false, t, persistent))
	}
}

// documentRights: documents, and what all that has an owner shares. Sources:
// XML-RPC reference §6 and §7.18.
func documentRights() []right {
	rows := []right{
		{method: "AllocateDocument", may: "owner member chief", needs: "CREATE DOCUMENT/*", call: func(w *world, who auth.Caller) error {
			return second(w.AllocateDocument(w.ctx, who, parsed("NAME=new"), 200))
		}},
		{method: "CloneDocument", may: "owner member chief", needs: "USE DOCUMENT/#1; CREATE DOCUMENT/*", call: func(w *world, who auth.Caller) error {
			return second(w.CloneDocument(w.ctx, who, 1, "new"))
		}},
		{method: "UpdateDocument", may: "owner chief", needs: "MANAGE DOCUMENT/#1", call: func(w *world, who auth.Caller) error {
			return w.UpdateDocument(w.ctx, who, 1, parsed("A=b"), 1)
		}},
		{method: "DeleteDocument", may: "owner chief", needs: "MANAGE DOCUMENT/#1", call: func(w *world, who auth.Caller) error {
			return w.DeleteDocument(w.ctx, who, 1)
		}},
	}
	// Group administrators have no rights on datastores and templates of networks.
	for _, o := range []struct {
		kind  one.Kind
		id    int
		chief string
	}{
		{one.KindVM, 0, " chief"}, {one.KindImage, 0, " chief"}, {one.KindNet, 0, " chief"}, {one.KindTemplate, 0, " chief"},
		{one.KindDocument, 1, " chief"}, {one.KindSecGroup, 101, " chief"}, {one.KindVRouter, 0, " chief"}, {one.KindDatastore, 100, ""},
		{one.KindVNTemplate, 0, ""},
	} {
		kind, id, word := o.kind, o.id, o.kind.String()
		on := word + "/#" + itoa(id)
		// That a member manages himself and may use his own group does not make him
		// manage the object; that chief manages all three does.
		rows = append(rows, []right{
			{method: "Info", what: word, may: "owner member chief", needs: "USE " + on, call: func(w *world, who auth.Caller) error {
				return third(w.Info(who, kind, id))
			}},
			{method: "Readable", what: word, may: "owner member chief", needs: "USE " + on, call: func(w *world, who auth.Caller) error {
				x, _ := w.View().Owned(kind, id)
				return w.Readable(w.View(), who, x)
			}},
			{method: "Rename", what: word, may: "owner" + o.chief, needs: "MANAGE " + on, call: func(w *world, who auth.Caller) error {
				return w.Rename(w.ctx, who, kind, id, "new")
			}},
			{method: "Chown", what: word, may: o.chief, needs: "MANAGE " + on + "; MANAGE USER/#3; USE GROUP/#1", call: func(w *world, who auth.Caller) error {
				return w.Chown(w.ctx, who, kind, id, member, 1)
			}},
			{method: "Chown", what: word + " to a group", may: "owner" + o.chief, needs: "MANAGE " + on + "; USE GROUP/#1", call: func(w *world, who auth.Caller) error {
				return w.Chown(w.ctx, who, kind, id, -1, 1)
			}},
			{method: "Chmod", what: word, may: "owner" + o.chief, needs: "MANAGE " + on, call: chmod(kind, id, 7, 1)},
			{method: "Chmod", what: word + " admin bit", needs: "ADMIN " + on, call: chmod(kind, id, 2, 1)},
			{method: "Chmod", what: word + " admin bit as it is", may: "owner" + o.chief, needs: "MANAGE " + on, call: chmod(kind, id, 2, 0)},
			{method: "Lock", what: word, may: "owner" + o.chief, needs: "MANAGE " + on, call: func(w *world, who auth.Caller) error {
				return w.Lock(w.ctx, who, kind, id, 1, false)
			}},
			{method: "Unlock", what: word, may: "owner" + o.chief, needs: "MANAGE " + on, call: func(w *world, who auth.Caller) error {
				return w.Unlock(w.ctx, who, kind, id)
			}},
		}...)
	}
	return rows
}

// chmod sets one bit and keeps the others.
func chmod(kind one.Kind, id, bit, to int) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.Chmod(w.ctx, who, kind, id, oneBit(bit, to)) }
}

// chmodTemplate sets one bit of template 1.
func chmodTemplate(bit int, images bool) func(*world, auth.Caller) error {
	return func(w *world, who auth.Caller) error { return w.ChmodTemplate(w.ctx, who, 1, oneBit(bit, 1), images) }
}

func oneBit(bit, to int) [9]int {
	bits := [9]int{-1, -1, -1, -1, -1, -1, -1, -1, -1}
	bits[bit] = to
	return bits
}
