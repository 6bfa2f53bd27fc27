package render

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// YAML prints a document.
func YAML(s *Screen, n *doc.Node) error { return printYAML(s, yamlNode(valueOf(n))) }

// RawYAML prints JSON text as YAML, in the order it came.
func RawYAML(s *Screen, raw []byte) error {
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil { // JSON is YAML
		return fmt.Errorf("read JSON: %w", err)
	}
	plain(&root)
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		return printYAML(s, root.Content[0])
	}
	return printYAML(s, &root)
}

// plain undoes the braces and quotes of JSON where YAML needs none.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// old11 matches texts that readers of YAML 1.1, such as Ruby's, take for a
// boolean or a base-60 number: YES is everywhere in templates, and MAC addresses
// may be all digits.
var old11 = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$|^[-+]?[0-9][0-9_]*(:[0-9]{1,2})+(\.[0-9]*)?$`)

// guard quotes the texts that would be misread.
func guard(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && old11.MatchString(n.Value) {
		n.Style = yaml.SingleQuotedStyle
	}
	for _, c := range n.Content {
		guard(c)
	}
}

func printYAML(s *Screen, n *yaml.Node) error {
	guard(n)
	var b strings.Builder
	e := yaml.NewEncoder(&b)
	e.SetIndent(4)
	if err := e.Encode(n); err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	s.Print("---\n" + b.String())
	return s.Err()
}

func yamlNode(v any) *yaml.Node {
	switch v := v.(type) {
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, yamlNode(e))
		}
		return n
	case *object:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if len(v.keys) == 0 {
			n.Style = yaml.FlowStyle
		}
		for _, k := range v.keys {
			n.Content = append(n.Content, yamlNode(k), yamlNode(v.values[k]))
		}
		return n
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}
