package onexml

import (
	"fmt"
	"slices"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// MaxJSONInput is the longest document that AppendJSON takes, in bytes.
const MaxJSONInput = 64 << 20

// AppendJSON appends a document as JSON the way the original converts any XML:
// text becomes a string, an element without any an empty object, elements of one
// name beside each other an array, where they are first met. Elements named in
// arrays, as paths from the root ("VM/TEMPLATE/NIC"), are arrays even when alone.
// Source: OneGate reference §1.5.
func AppendJSON(dst, xml []byte, arrays ...string) ([]byte, error) {
	if len(xml) > MaxJSONInput {
		return dst, fmt.Errorf("convert XML to JSON: document of %d bytes, expected at most %d", len(xml), MaxJSONInput)
	}
	root, err := doc.Parse(string(xml))
	if err != nil {
		return dst, fmt.Errorf("convert XML to JSON: %w", err)
	}
	c := converter{arrays: arrays}
	dst = append(appendString(append(dst, '{'), root.Name), ':')
	dst = c.value(dst, root, root.Name)
	return append(dst, '}'), nil
}

type converter struct{ arrays []string }

func (c converter) value(dst []byte, n *doc.Node, path string) []byte {
	if len(n.Kids) == 0 && n.HasText {
		return appendString(dst, n.Text)
	}
	named := make(map[string][]*doc.Node, len(n.Kids))
	for _, k := range n.Kids {
		named[k.Name] = append(named[k.Name], k)
	}
	dst = append(dst, '{')
	sep := ""
	for _, k := range n.Kids {
		kids := named[k.Name]
		if kids[0] != k {
			continue
		}
		dst = appendString(append(dst, sep...), k.Name)
		dst = c.member(append(dst, ':'), kids, path+"/"+k.Name)
		sep = ","
	}
	return append(dst, '}')
}

// member appends the value of the elements of one name beside each other.
func (c converter) member(dst []byte, kids []*doc.Node, path string) []byte {
	if len(kids) == 1 && !slices.Contains(c.arrays, path) {
		return c.value(dst, kids[0], path)
	}
	for i, k := range kids {
		dst = c.value(append(dst, "[,"[min(i, 1)]), k, path)
	}
	return append(dst, ']')
}

func appendString(dst []byte, s string) []byte { return tmpl.Single("", s).AppendJSON(dst) }
