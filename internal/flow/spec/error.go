package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// Error is a refusal of what a client sent; its text is meant for the client.
type Error struct {
	Msg  string // in the original's words
	Want string // what was expected instead; "" when Msg has it all
	// Value is what is at fault, or what lacks something. Its offset is the place
	// in the text the client sent; it has none when it comes from elsewhere.
	Value jsontree.Value
	path  string // of Value, each step with what separates it from the one before
}

// Error returns the text.
func (e *Error) Error() string { return e.Msg }

// Path returns which member is at fault, as in roles[1].cardinality; "" for the
// whole.
func (e *Error) Path() string { return strings.TrimPrefix(e.path, ".") }

// Place says on one line where in a text the fault is and what was expected:
// "at roles[1].cardinality, line 7 column 22: expected an integer of at least 0".
// It is "" when nothing is known beyond the message.
func (e *Error) Place(text []byte) string {
	where := e.Path()
	if at, ok := e.Value.Offset(); ok {
		line, column := jsontree.Position(text, at)
		if where != "" {
			where += ", "
		}
		where += fmt.Sprintf("line %d column %d", line, column)
	}
	switch {
	case where == "":
		return ""
	case e.Want == "":
		return "at " + where
	}
	return "at " + where + ": expected " + e.Want
}

// Refuse returns a refusal of a value that a path leads to: names of members and
// indexes of elements.
func Refuse(msg string, v jsontree.Value, want string, path ...any) *Error {
	e := &Error{Msg: msg, Value: v, Want: want}
	for i := len(path) - 1; i >= 0; i-- {
		e.path = step(path[i]) + e.path
	}
	return e
}

func refuse(format string, args ...any) *Error { return &Error{Msg: fmt.Sprintf(format, args...)} }

// at says which value is at fault and what was expected of it.
func (e *Error) at(v jsontree.Value, want string, args ...any) *Error {
	e.Value, e.Want = v, fmt.Sprintf(want, args...)
	return e
}

// in says where in a value the fault of an error is: under a name or an index.
// What does not stand in the client's text is shown where it belongs.
func in(v jsontree.Value, err error, under any) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if _, placed := e.Value.Offset(); !placed && e.path == "" {
		e.Value = v
	}
	e.path = step(under) + e.path
	return err
}

func step(under any) string {
	switch s := under.(type) {
	case int:
		return "[" + strconv.Itoa(s) + "]"
	case string:
		if isWord(s) {
			return "." + s
		}
		return "[" + strconv.Quote(s) + "]"
	}
	return ""
}
