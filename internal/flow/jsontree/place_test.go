package jsontree

import (
	"errors"
	"testing"
)

func TestPlaces(t *testing.T) {
	text := []byte("{\n  \"name\": \"é\", \"roles\": [ {\"a\":1},\n\t{\"b\" : [true, null]} ]\n}\n")
	v, err := ParsePlaced(text)
	if err != nil {
		t.Fatal(err)
	}
	roles := v.Get("roles")
	for _, c := range []struct {
		what         string
		v            Value
		line, column int
	}{
		{"all", v, 1, 1},
		{"name", v.Get("name"), 2, 11},
		{"roles", roles, 2, 25},
		{"roles[0]", roles.Items[0], 2, 27},
		{"roles[0].a", roles.Items[0].Get("a"), 2, 32},
		{"roles[1]", roles.Items[1], 3, 2},
		{"roles[1].b", roles.Items[1].Get("b"), 3, 9},
		{"roles[1].b[1]", roles.Items[1].Get("b").Items[1], 3, 16},
		{"all, changed", v.With("x", Int(1)).Without("name"), 1, 1},
		{"a changed member", v.With("name", Int(1).PlacedAs(v.Get("name"))).Get("name"), 2, 11},
	} {
		at, ok := c.v.Offset()
		line, column := Position(text, at)
		if !ok || line != c.line || column != c.column {
			t.Errorf("%s: line %d column %d, %v; want %d, %d", c.what, line, column, ok, c.line, c.column)
		}
	}
	if _, ok := v.With("x", Int(1)).Get("x").Offset(); ok {
		t.Error("what was added stands in the text")
	}
	plain, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := plain.Offset(); ok || !plain.Equal(v) {
		t.Error("without places: it has one, or is not equal to that with")
	}
	if _, ok := plain.PlacedAs(Int(1)).Offset(); ok {
		t.Error("a place out of nothing")
	}
}

func TestSyntaxPlaces(t *testing.T) {
	for in, want := range map[string]int{
		"{": 1, "{\"a\" 1}": 5, "[1,]": 3, "[1] 2": 4, "{\n \"a\": tru\n}": 8, "{\"a\":1 \"b\":2}": 7, "": 0, "{1:2}": 1,
	} {
		_, err := ParsePlaced([]byte(in))
		var e *SyntaxError
		if !errors.As(err, &e) || e.Offset != want {
			t.Errorf("%q: %v, want offset %d", in, err, want)
		}
	}
}
