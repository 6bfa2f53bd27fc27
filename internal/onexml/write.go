package onexml

import (
	"iter"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// Short names for what everything here is made of. Names of objects need no
// escaping, but those of documents, or of users that another system manages, may.

func open(dst []byte, name string) []byte { return xmlrpc.AppendOpen(dst, name) }

func shut(dst []byte, name string) []byte { return xmlrpc.AppendClose(dst, name) }

func num[T ~int | ~int64](dst []byte, name string, n T) []byte {
	return xmlrpc.AppendInt(dst, name, n)
}

func flag(dst []byte, name string, set bool) []byte { return xmlrpc.AppendBool(dst, name, set) }

func bare(dst []byte, name, text string) []byte { return xmlrpc.AppendElem(dst, name, text) }

// cdata prints text as a template prints a value.
func cdata(dst []byte, name, text string) []byte { return tmpl.Single(name, text).AppendXML(dst) }

// cdataNum appends an element with a number in a CDATA section.
func cdataNum[T ~int | ~int64](dst []byte, name string, n T) []byte {
	dst = append(open(dst, name), "<![CDATA["...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return shut(append(dst, "]]>"...), name)
}

// ids appends a collection of ids.
func ids(dst []byte, name string, all iter.Seq[int]) []byte {
	dst = open(dst, name)
	for id := range all {
		dst = num(dst, "ID", id)
	}
	return shut(dst, name)
}

// body appends a template as the element called name.
func body(dst []byte, name string, t *tmpl.Template) []byte {
	return shut(t.AppendXML(open(dst, name)), name)
}

// head appends what owned objects begin with, ID to NAME.
func head(dst []byte, m *one.Meta) []byte {
	dst = num(dst, "ID", m.ID)
	dst = num(dst, "UID", m.UID)
	dst = num(dst, "GID", m.GID)
	dst = bare(dst, "UNAME", m.UName)
	dst = bare(dst, "GNAME", m.GName)
	return bare(dst, "NAME", m.Name)
}

var permNames = [9]string{
	"OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A", "OTHER_U", "OTHER_M", "OTHER_A",
}

func permissions(dst []byte, p one.Perms) []byte {
	dst = open(dst, "PERMISSIONS")
	for i, name := range permNames {
		dst = flag(dst, name, p&(1<<(8-i)) != 0)
	}
	return shut(dst, "PERMISSIONS")
}

// lock appends the lock, nothing when there is none.
func lock(dst []byte, l one.Lock) []byte {
	if l.Level == one.Unlocked {
		return dst
	}
	dst = open(dst, "LOCK")
	dst = num(dst, "LOCKED", l.Level)
	dst = num(dst, "OWNER", l.Owner)
	dst = num(dst, "TIME", l.Time)
	dst = num(dst, "REQ_ID", l.ReqID)
	return shut(dst, "LOCK")
}
