package tmpl

import (
	"fmt"
	"slices"
	"strings"
)

// entry is what a list of attributes in the configuration says about one
// name: NAME means the whole attribute, VECTOR/SUB one of its sub-attributes.
type entry struct {
	name  string
	whole bool
	subs  []string // ascending
}

// parseEntries reads a list of NAME and VECTOR/SUB, and returns it ascending by
// name. Source: XML-RPC reference §9.6.
func parseEntries(list []string) ([]entry, error) {
	var out []entry
	for _, item := range list {
		name, sub, isSub := strings.Cut(upper(strings.TrimSpace(item)), "/")
		if name == "" || isSub && (sub == "" || strings.Contains(sub, "/")) {
			return nil, fmt.Errorf("attribute list: %q: expected NAME or VECTOR/SUB", item)
		}
		i, known := slices.BinarySearchFunc(out, name, func(e entry, n string) int { return strings.Compare(e.name, n) })
		if !known {
			out = slices.Insert(out, i, entry{name: name})
		}
		if !isSub {
			out[i].whole = true
		} else if j, known := slices.BinarySearch(out[i].subs, sub); !known {
			out[i].subs = slices.Insert(out[i].subs, j, sub)
		}
	}
	return out, nil
}
