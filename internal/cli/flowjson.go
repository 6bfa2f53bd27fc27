package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

// source is a JSON object and the name of where it was read. It is sent as it
// stands, so that a place the server names is one in the file.
type source struct{ name, text string }

// source takes the text of the i-th argument, or of standard input or an editor
// if that was not given, and refuses what is no JSON object before it is sent.
func (c *call) source(i int, text string) (source, error) { return readSource(c.text(i), text) }

func readSource(name, text string) (source, error) {
	s := source{name: name, text: text}
	if s.name == "" || s.name == "-" {
		s.name = "input"
	}
	v, err := jsontree.ParsePlaced([]byte(text))
	var syntax *jsontree.SyntaxError
	switch {
	case errors.As(err, &syntax):
		line, column := jsontree.Position([]byte(text), syntax.Offset)
		return s, fmt.Errorf("%s:%d:%d: expected a JSON object: %s", s.name, line, column, syntax.Msg)
	case err != nil:
		return s, fmt.Errorf("%s: %w", s.name, err)
	case v.Kind != jsontree.Object:
		return s, fmt.Errorf("%s: expected a JSON object", s.name)
	}
	return s, nil
}

// send sends the object within what stands before and after it. before is one line.
func (s source) send(c *call, method, path, before, after string) ([]byte, error) {
	answer, err := c.request(method, path, []byte(before+s.text+after))
	return answer, s.blame(err, len(before))
}

// place is the last line of a refusal that names one.
// Source: internal/flow/spec, Error.Place.
var place = regexp.MustCompile(`\nat (?:(.+), )?line (\d+) column (\d+): expected (.*)$`)

// blame puts the name of the file to the place a refusal names, in the form that
// editors follow; before is how much was sent in front of its first line.
func (s source) blame(err error, before int) error {
	var refusal *client.Error
	if !errors.As(err, &refusal) {
		return err
	}
	m := place.FindStringSubmatchIndex(refusal.Msg)
	if m == nil {
		return err
	}
	part := func(i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return refusal.Msg[m[2*i]:m[2*i+1]]
	}
	line, _ := strconv.Atoi(part(2))
	column, _ := strconv.Atoi(part(3))
	if line == 1 {
		column -= before
	}
	if column < 1 {
		return err
	}
	text := fmt.Sprintf("%s\n%s:%d:%d: ", refusal.Msg[:m[0]], s.name, line, column)
	if path := part(1); path != "" {
		text += path + ": "
	}
	return &exitError{code: refusal.Code & 0xff, err: errors.New(text + "expected " + part(4))}
}

// sendEvery sends the object to every subject of the verb.
func (s source) sendEvery(c *call, done, method, below, before, after string) error {
	return c.every(done, func(id int) error {
		_, err := s.send(c, method, c.path(id, below), before, after)
		return err
	})
}
