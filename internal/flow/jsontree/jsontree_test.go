package jsontree

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":[true,false,null,"x\n\u00e9<&>"],"c":{}}`: `{"b":1,"a":[true,false,null,"x\né<&>"],"c":{}}`,
		`{"a":1,"b":2,"a":3}`:          `{"a":3,"b":2}`,
		` [ 1.50 , 1e2, 1E-7, 1e20 ] `: `[1.5,100.0,1.0e-07,1.0e+20]`,
		`-0`:                           `0`,
		`123456789012345678901`:        `123456789012345678901`,
		`[]`:                           `[]`,
	} {
		v, err := Parse([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := v.Compact(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestPretty(t *testing.T) {
	v, err := Parse([]byte(`{"a":[1,{"b":"c"}],"d":{},"e":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"c\"\n    }\n  ],\n  \"d\": {},\n  \"e\": []\n}"
	if got := string(v.Pretty(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	for in, want := range map[string]string{
		``:           "unexpected end",
		`{`:          "unexpected end",
		`{"a" 1}`:    "invalid character",
		`[1,]`:       "invalid",
		`[1] 2`:      "unexpected text after the value",
		`tru`:        "invalid",
		`1e999`:      "out of range",
		`{"a":1,}`:   "invalid",
		`{"a":1 "b"`: "invalid",
		strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2): "levels deep",
		"[" + strings.Repeat("1,", MaxValues) + "1]":                      "more than",
		`"` + strings.Repeat("x", MaxBytes) + `"`:                         "at most",
	} {
		_, err := Parse([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got error %v, want one with %q", in, err, want)
		}
	}
}

func TestChanges(t *testing.T) {
	v := Obj(F("a", Int(1)), F("b", Str("x")))
	w := v.With("a", Int(2)).With("c", Boolean(true)).Without("b")
	if v.Compact() != `{"a":1,"b":"x"}` || w.Compact() != `{"a":2,"c":true}` {
		t.Errorf("got %s and %s", v.Compact(), w.Compact())
	}
	if !v.Equal(Obj(F("b", Str("x")), F("a", Int(1)))) || v.Equal(w) || v.Equal(Obj(F("a", Int(1)))) {
		t.Error("Equal is wrong about objects")
	}
	if got := v.Map(strings.ToUpper).Compact(); got != `{"a":1,"b":"X"}` {
		t.Errorf("mapped: %s", got)
	}
	if n, ok := v.Get("a").Number(); n != 1 || !ok {
		t.Errorf("number: %d, %v", n, ok)
	}
	if v.Get("z").Present() || Boolean(false).Present() || !Int(0).Present() {
		t.Error("Present is wrong")
	}
}

// Whatever is read can be written, and reads back as the same; what is refused
// by the standard library is refused here.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x"],"b":{"c":null}}`, `[]`, `"\ud800"`, `{"":""}`, `1e5`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q was read, but is not JSON", text)
		}
		for _, form := range [][]byte{v.Append(nil), v.Pretty(nil)} {
			again, err := Parse(form)
			if err != nil || !again.Equal(v) {
				t.Fatalf("%q comes back as %q: %v", text, form, err)
			}
		}
	})
}
