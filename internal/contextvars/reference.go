package contextvars

import (
	"fmt"
	"slices"
	"strings"
)

// reference is one $NAME, $NAME[ATTR] or $NAME[ATTR, KEY="value"]; of a file
// reference $FILE[KEY="value"] or $FILE[KEY="value", KEY2="value2"] attr is "".
// Names are upper case.
type reference struct {
	name, attr   string
	key, value   string
	key2, value2 string
	from, to     int   // where it stands, from the '$' on
	after        token // the character behind it, endOfAttr
}

// syntaxError says what was expected and where. Lines count from zero; columns
// from one, through the whole text, as the reference has it.
type syntaxError struct {
	found    kind
	expected []kind
	at       int // where in the text
	line     int
	from, to int
}

func (e *syntaxError) Error() string {
	names := make([]string, len(e.expected))
	for i, k := range e.expected {
		names[i] = k.String()
	}
	return fmt.Sprintf("syntax error, unexpected %v, expecting %s at line %d, columns %d:%d",
		e.found, strings.Join(names, " or "), e.line, e.from, e.to)
}

// expect reads a token of one of the kinds.
func (l *lexer) expect(kinds ...kind) (token, error) {
	t := l.next()
	return t, l.check(t, kinds...)
}

func (l *lexer) check(t token, kinds ...kind) error {
	if slices.Contains(kinds, t.kind) {
		return nil
	}
	return &syntaxError{
		found: t.kind, expected: kinds, at: l.at.from,
		line: strings.Count(l.text[:l.at.to], "\n"), from: l.at.from + 1, to: l.at.to + 1,
	}
}

// valueReference reads what follows the name of a reference to a value.
func (l *lexer) valueReference(name token) (reference, error) {
	r := reference{name: upper(name.text), from: name.from - 1, to: name.to}
	t, err := l.expect(openBracket, endOfAttr)
	if err != nil {
		return r, err
	}
	if t.kind == endOfAttr {
		r.after = t
		return r, nil
	}
	if t, err = l.expect(variable); err != nil {
		return r, err
	}
	r.attr = upper(t.text)
	if t, err = l.expect(comma, closeBracket); err != nil {
		return r, err
	}
	if t.kind == comma {
		if r.key, r.value, err = l.selector(); err != nil {
			return r, err
		}
		if t, err = l.expect(closeBracket); err != nil {
			return r, err
		}
	}
	r.to = t.to
	r.after, err = l.expect(endOfAttr)
	return r, err
}

// fileReference reads what follows the name of a reference to a file image.
func (l *lexer) fileReference(name token) (reference, error) {
	r := reference{name: upper(name.text), from: name.from - 1}
	if _, err := l.expect(openBracket); err != nil {
		return r, err
	}
	var err error
	if r.key, r.value, err = l.selector(); err != nil {
		return r, err
	}
	t, err := l.expect(comma, closeBracket)
	if err != nil {
		return r, err
	}
	if t.kind == comma {
		if r.key2, r.value2, err = l.selector(); err != nil {
			return r, err
		}
		if t, err = l.expect(closeBracket); err != nil {
			return r, err
		}
	}
	r.to = t.to
	r.after, err = l.expect(endOfAttr)
	return r, err
}

// selector reads KEY="value".
func (l *lexer) selector() (key, value string, err error) {
	k, err := l.expect(variable)
	if err != nil {
		return "", "", err
	}
	if _, err := l.expect(equal); err != nil {
		return "", "", err
	}
	v, err := l.expect(quoted)
	return upper(k.text), v.text, err
}
