package doc

import (
	"slices"
	"strings"
)

// TemplateText renders the children of n as template text, as "show" commands
// print a TEMPLATE: NAME="value", and vectors with one pair per line. Empty
// elements are left out, empty texts are not; quotes are escaped. With only, the
// attributes of other names are left out. Source: XML-RPC reference §9.3.
func TemplateText(n *Node, only ...string) string { return templateText(n, "\n", "  ", only) }

// FlatTemplateText is TemplateText with each vector on one line, as the network
// panels print it.
func FlatTemplateText(n *Node) string { return templateText(n, "", " ", nil) }

func templateText(n *Node, brk, tab string, only []string) string {
	if n == nil {
		return ""
	}
	var lines []string
	for _, k := range n.Kids {
		if len(only) > 0 && !slices.Contains(only, k.Name) {
			continue
		}
		switch {
		case len(k.Kids) > 0:
			lines = append(lines, vectorText(k, brk, tab))
		case k.HasText:
			lines = append(lines, k.Name+"="+Quote(k.Text))
		}
	}
	return strings.Join(lines, "\n")
}

func vectorText(n *Node, brk, tab string) string {
	var pairs []string
	for _, k := range n.Kids {
		if k.HasText {
			pairs = append(pairs, tab+k.Name+"="+Quote(k.Text))
		}
	}
	return n.Name + "=[" + brk + strings.Join(pairs, ","+brk) + " ]"
}

// Quote writes a value as template text. The only escape there is, is that of a
// quote, so a value that ends in a backslash gets a blank behind it: it would
// swallow the rest of the template.
func Quote(s string) string {
	if strings.HasSuffix(s, `\`) {
		s += " "
	}
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}
