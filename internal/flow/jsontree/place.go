package jsontree

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// SyntaxError tells what is wrong in a text, and where: Offset is in bytes.
type SyntaxError struct {
	Offset int
	Msg    string
}

// Error returns the message.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Msg)
}

// Offset returns where in the text that ParsePlaced read the value begins, in
// bytes; false for a value that stands in no such text.
func (v Value) Offset() (int, bool) { return int(v.at) - 1, v.at > 0 }

// PlacedAs returns the value standing where another one does, if that stands anywhere.
func (v Value) PlacedAs(o Value) Value {
	if o.at > 0 {
		v.at = o.at
	}
	return v
}

// Position returns the line and the column of an offset in a text, both from 1;
// columns count characters.
func Position(text []byte, offset int) (line, column int) {
	before := text[:max(0, min(offset, len(text)))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte{'\n'}) + 1, utf8.RuneCount(before[start:]) + 1
}
