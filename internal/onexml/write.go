package onexml

import (
	"iter"
	"strconv"
	"unicode/utf8"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func open(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

func shut(dst []byte, name string) []byte {
	dst = append(dst, '<', '/')
	dst = append(dst, name...)
	return append(dst, '>')
}

// num appends an element with a bare number.
func num[T ~int | ~int64](dst []byte, name string, n T) []byte {
	dst = strconv.AppendInt(open(dst, name), int64(n), 10)
	return shut(dst, name)
}

// flag appends an element with 1 or 0.
func flag(dst []byte, name string, set bool) []byte {
	if set {
		return num(dst, name, 1)
	}
	return num(dst, name, 0)
}

// cdata appends an element with text in a CDATA section.
func cdata(dst []byte, name, text string) []byte { return tmpl.Single(name, text).AppendXML(dst) }

// cdataNum appends an element with a number in a CDATA section.
func cdataNum[T ~int | ~int64](dst []byte, name string, n T) []byte {
	dst = append(open(dst, name), "<![CDATA["...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return shut(append(dst, "]]>"...), name)
}

// bare appends an element with text outside of CDATA. Names of objects need no
// escaping, but those of documents, or of users another system manages, may.
func bare(dst []byte, name, text string) []byte {
	return shut(appendText(open(dst, name), text), name)
}

// appendText appends character data: markup escaped, what XML cannot hold as U+FFFD.
func appendText(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' {
			i++
			continue
		}
		n, repl := 1, ""
		switch {
		case c == '&':
			repl = "&amp;"
		case c == '<':
			repl = "&lt;"
		case c == '>':
			repl = "&gt;"
		case c == '\r': // as it is, a reader would take it for a line feed
			repl = "&#13;"
		case c < ' ' && c != '\t' && c != '\n':
			repl = "\uFFFD"
		case c >= utf8.RuneSelf:
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
				repl = "\uFFFD"
			}
		}
		if repl != "" {
			dst = append(append(dst, s[from:i]...), repl...)
			from = i + n
		}
		i += n
	}
	return append(dst, s[from:]...)
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
