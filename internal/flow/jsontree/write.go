package jsontree

import "github.com/trifid-cloud/trifid/internal/tmpl"

// Append appends the value as JSON without any blanks.
func (v Value) Append(dst []byte) []byte { return v.write(dst, -1) }

// Pretty appends the value as the original prints it: two blanks a level, a
// member a line.
func (v Value) Pretty(dst []byte) []byte { return v.write(dst, 0) }

// Compact returns the value as JSON without any blanks.
func (v Value) Compact() string { return string(v.Append(nil)) }

// write appends the value; level is how deep it is indented, below 0 not at all.
func (v Value) write(dst []byte, level int) []byte {
	switch v.Kind {
	case Bool:
		if v.True {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return append(dst, v.Text...)
	case String:
		return appendString(dst, v.Text)
	case Array:
		if len(v.Items) == 0 {
			return append(dst, "[]"...)
		}
		dst = append(dst, '[')
		for i, m := range v.Items {
			dst = m.write(between(dst, i, level), deeper(level))
		}
		return append(newLine(dst, level), ']')
	case Object:
		if len(v.Fields) == 0 {
			return append(dst, "{}"...)
		}
		dst = append(dst, '{')
		for i, f := range v.Fields {
			dst = append(appendString(between(dst, i, level), f.Name), ':')
			if level >= 0 {
				dst = append(dst, ' ')
			}
			dst = f.Value.write(dst, deeper(level))
		}
		return append(newLine(dst, level), '}')
	}
	return append(dst, "null"...)
}

func deeper(level int) int {
	if level < 0 {
		return level
	}
	return level + 1
}

// between appends what stands before the i-th element.
func between(dst []byte, i, level int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return newLine(dst, deeper(level))
}

func newLine(dst []byte, level int) []byte {
	if level < 0 {
		return dst
	}
	dst = append(dst, '\n')
	for range level {
		dst = append(dst, "  "...)
	}
	return dst
}

func appendString(dst []byte, s string) []byte { return tmpl.Single("", s).AppendJSON(dst) }
