package render

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// XML prints a document indented by two, CDATA as it came.
func XML(s *Screen, n *doc.Node) error {
	var b strings.Builder
	appendXML(&b, n, "")
	s.Print(b.String())
	return s.Err()
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func appendXML(b *strings.Builder, n *doc.Node, indent string) {
	b.WriteString(indent + "<" + n.Name)
	switch {
	case len(n.Kids) > 0:
		b.WriteString(">\n")
		for _, k := range n.Kids {
			appendXML(b, k, indent+"  ")
		}
		b.WriteString(indent + "</" + n.Name + ">\n")
	case n.CDATA:
		b.WriteString("><![CDATA[" + strings.ReplaceAll(n.Text, "]]>", "]]]]><![CDATA[>") + "]]></" + n.Name + ">\n")
	case n.Text != "":
		b.WriteString(">" + xmlEscaper.Replace(n.Text) + "</" + n.Name + ">\n")
	default:
		b.WriteString("/>\n")
	}
}
