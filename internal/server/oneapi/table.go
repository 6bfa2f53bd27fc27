package oneapi

import (
	"slices"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// table returns every method of the reference (§7), ascending by name.
func table() []method {
	all := slices.Concat(
		vmMethods(), vmPoolMethods(), templateMethods(), imageMethods(), datastoreMethods(), vnetMethods(), secGroupMethods(), vrouterMethods(),
		hostMethods(), clusterMethods(), userMethods(), groupMethods(), quotaMethods(), vdcMethods(), aclMethods(), documentMethods(),
		zoneMethods(), systemMethods(), marketMethods(), vmGroupMethods(), vnTemplateMethods(), hookMethods(), backupJobMethods(),
	)
	for i := range all {
		all[i].params = parseSpec(all[i].spec)
	}
	slices.SortFunc(all, func(a, b method) int { return strings.Compare(a.name, b.name) })
	return all
}

type handler = func(*call) (answer, error)

// change is a handler that changes the object of parameter 1 and answers with
// its id.
func change(f func(c *call, id int) error) handler {
	return func(c *call) (answer, error) { return c.done(1), f(c, c.int(1)) }
}

// create is a handler that answers with the id of what it made.
func create(f func(c *call) (int, error)) handler {
	return func(c *call) (answer, error) {
		n, err := f(c)
		return id(n), err
	}
}

// show is a handler that answers with a document, appended to c.doc.
func show(f func(c *call) ([]byte, error)) handler {
	return func(c *call) (answer, error) {
		doc, err := f(c)
		return text(doc), err
	}
}

// Parameters that many methods share.
const (
	paramsID     = "id i"
	paramsInfo   = "id i, decrypt b=false"
	paramsUpdate = "id i, template u, append i=0"
	paramsRename = "id i, name s"
	paramsChown  = "id i, uid i, gid i"
	paramsChmod  = "id i, ou i, om i, oa i, gu i, gm i, ga i, tu i, tm i, ta i"
	paramsLock   = "id i, level i, test b=false"
	paramsPool   = "filter i, start i, end i"
)

// The rows that owned kinds share: what one is called in names and in rights is
// all that differs. Source: XML-RPC reference §6.

func renameOf(prefix string, kind one.Kind, right string) method {
	return set(prefix+".rename", paramsRename, right, change(func(c *call, id int) error {
		return c.cloud.Rename(c.ctx, c.who, kind, id, c.text(2))
	}))
}

func chownOf(prefix string, kind one.Kind) method {
	return set(prefix+".chown", paramsChown, "MANAGE "+kind.String()+" + MANAGE USER + USE GROUP", change(func(c *call, id int) error {
		return c.cloud.Chown(c.ctx, c.who, kind, id, c.int(2), c.int(3))
	}))
}

func chmodOf(prefix string, kind one.Kind) method {
	return set(prefix+".chmod", paramsChmod, "MANAGE or ADMIN "+kind.String(), change(func(c *call, id int) error {
		return c.cloud.Chmod(c.ctx, c.who, kind, id, c.bits())
	}))
}

// bits returns the nine permission bits of a chmod, parameters 2 to 10.
func (c *call) bits() (bits [9]int) {
	for i := range bits {
		bits[i] = c.int(2 + i)
	}
	return bits
}

func locksOf(prefix string, kind one.Kind) []method {
	right := "MANAGE " + kind.String()
	return []method{
		set(prefix+".lock", paramsLock, right, change(func(c *call, id int) error {
			return c.cloud.Lock(c.ctx, c.who, kind, id, c.int(2), c.bool(3))
		})),
		set(prefix+".unlock", paramsID, right, change(func(c *call, id int) error { return c.cloud.Unlock(c.ctx, c.who, kind, id) })),
	}
}

// infoOf is the row of an owned kind's document; write appends it.
func infoOf[T one.Owned](prefix string, kind one.Kind, write func(*onexml.Docs, []byte, T) []byte) method {
	return get(prefix+".info", paramsInfo, "USE "+kind.String(), show(func(c *call) ([]byte, error) {
		st, o, err := owned[T](c, kind, c.int(1))
		if err != nil {
			return nil, err
		}
		if c.bool(2) {
			o = o.WithBody(c.cloud.Clear(c.who, kind, o.Body())).(T)
		}
		return write(c.docs(st), c.doc, o), nil
	}))
}

// updateOf is the row of a kind's update.
func updateOf(prefix, right string, update func(c *call, id int) error) method {
	return set(prefix+".update", paramsUpdate, right, change(update))
}

// emptyPool is the row of a pool of which there are no objects yet.
func emptyPool(name, spec, root string) method {
	return get(name, spec, "–", show(func(c *call) ([]byte, error) {
		if spec == paramsPool && c.int(1) < cloud.FilterGroup {
			return nil, errFilter
		}
		return onexml.AppendEmpty(c.doc, root), nil
	})).but("always empty")
}

// absent are the rows of what is not supported yet: name, parameters, right.
func absent(rows ...[3]string) []method {
	var out []method
	for _, r := range rows {
		out = append(out, missing(r[0], r[1], r[2]))
	}
	return out
}

// absentShared are the rows of update to unlock of a kind that is not supported yet.
func absentShared(prefix, word string, ops ...string) []method {
	manage := "MANAGE " + word
	of := map[string][2]string{
		"info": {paramsInfo, "USE " + word}, "update": {paramsUpdate, manage}, "rename": {paramsRename, manage}, "delete": {paramsID, manage},
		"chown": {paramsChown, manage + " + MANAGE USER + USE GROUP"}, "chmod": {paramsChmod, "MANAGE or ADMIN " + word},
		"lock": {paramsLock, manage}, "unlock": {paramsID, manage},
	}
	var out []method
	for _, op := range ops {
		out = append(out, missing(prefix+"."+op, of[op][0], of[op][1]))
	}
	return out
}
