package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// JSON prints a document, indented by two.
func JSON(s *Screen, n *doc.Node) error {
	s.Println(string(appendJSON(nil, valueOf(n), "\n")))
	return s.Err()
}

// appendJSON writes a value; brk is the line break with the indentation so far.
func appendJSON(dst []byte, v any, brk string) []byte {
	switch v := v.(type) {
	case string:
		return appendString(dst, v)
	case []any:
		for i, e := range v {
			dst = appendOpen(dst, i, '[', brk)
			dst = appendJSON(dst, e, brk+"  ")
		}
		return appendClose(dst, len(v), "[]", brk)
	case *object:
		for i, k := range v.keys {
			dst = appendOpen(dst, i, '{', brk)
			dst = appendString(dst, k)
			dst = append(dst, ": "...)
			dst = appendJSON(dst, v.values[k], brk+"  ")
		}
		return appendClose(dst, len(v.keys), "{}", brk)
	}
	return append(dst, "null"...)
}

func appendOpen(dst []byte, i int, open byte, brk string) []byte {
	if i == 0 {
		dst = append(dst, open)
	} else {
		dst = append(dst, ',')
	}
	return append(dst, brk+"  "...)
}

func appendClose(dst []byte, n int, pair, brk string) []byte {
	if n == 0 {
		return append(dst, pair...)
	}
	return append(append(dst, brk...), pair[1])
}

// appendString writes a JSON string; unlike encoding/json's default it leaves
// <, > and & readable.
func appendString(dst []byte, s string) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a string always encodes
		return append(dst, `""`...)
	}
	return append(dst, strings.TrimSuffix(b.String(), "\n")...)
}

// RawJSON prints JSON text indented by two, in the order it came.
func RawJSON(s *Screen, raw []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	s.Println(out.String())
	return s.Err()
}

// RawJSONLine prints JSON text on one line.
func RawJSONLine(s *Screen, raw []byte) error {
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	s.Println(out.String())
	return s.Err()
}
