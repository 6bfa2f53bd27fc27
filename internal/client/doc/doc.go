// Package doc reads the XML documents of the OpenNebula API as small trees, the
// way command-line clients use them: by path, without a type per resource.
//
// It imports the standard library only. Source: XML-RPC reference §3 and §8.
package doc

import (
	"strconv"
	"strings"
)

// Node is one element of a document. A nil *Node reads as an absent element, so
// paths need not be tested step by step.
type Node struct {
	Name string
	// Text is the character data of an element without children.
	Text string
	// HasText tells an empty text (<A><![CDATA[]]></A>) from an empty element
	// (<A/>), which clients of the original render differently.
	HasText bool
	// CDATA tells that the text was written as CDATA.
	CDATA bool
	Kids  []*Node
}

// At returns the first element at a path of names joined by '/', relative to n,
// or nil. The empty path is n itself.
func (n *Node) At(path string) *Node {
	for path != "" && n != nil {
		var name string
		name, path, _ = strings.Cut(path, "/")
		n = n.child(name)
	}
	return n
}

func (n *Node) child(name string) *Node {
	for _, k := range n.Kids {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// Get returns the text at a path, "" when there is none.
func (n *Node) Get(path string) string {
	if m := n.At(path); m != nil {
		return m.Text
	}
	return ""
}

// Int returns the text at a path as a number, 0 when it is none. A fraction is
// cut off.
func (n *Node) Int(path string) int64 {
	s := n.Get(path)
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v
	}
	return int64(n.Float(path))
}

// Float returns the text at a path as a number, 0 when it is none.
func (n *Node) Float(path string) float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(n.Get(path)), 64)
	if err != nil || v != v {
		return 0
	}
	return v
}

// Has tells whether there is an element at the path.
func (n *Node) Has(path string) bool { return n.At(path) != nil }

// Filled tells whether there is an element at the path that is not empty.
func (n *Node) Filled(path string) bool {
	m := n.At(path)
	return m != nil && (len(m.Kids) > 0 || m.Text != "")
}

// All returns every element at a path: all elements of the last name under
// every element of the names before it.
func (n *Node) All(path string) []*Node {
	if n == nil {
		return nil
	}
	name, rest, more := strings.Cut(path, "/")
	var out []*Node
	for _, k := range n.Kids {
		if k.Name != name {
			continue
		}
		if more {
			out = append(out, k.All(rest)...)
		} else {
			out = append(out, k)
		}
	}
	return out
}

// Texts returns the texts of All(path).
func (n *Node) Texts(path string) []string {
	all := n.All(path)
	out := make([]string, len(all))
	for i, k := range all {
		out[i] = k.Text
	}
	return out
}

// Last returns the last of All(path), or nil.
func (n *Node) Last(path string) *Node {
	all := n.All(path)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// Without returns a copy of n that lacks the children of these names. The
// children kept are shared.
func (n *Node) Without(names ...string) *Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Kids = nil
next:
	for _, k := range n.Kids {
		for _, name := range names {
			if k.Name == name {
				continue next
			}
		}
		c.Kids = append(c.Kids, k)
	}
	return &c
}
