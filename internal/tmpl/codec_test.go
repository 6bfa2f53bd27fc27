package tmpl_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestStoredForm(t *testing.T) {
	tests := []struct {
		name   string
		t      *tmpl.Template
		stored string
	}{
		{"empty", &tmpl.Template{}, `[]`},
		{"single", tmpl.New(single("A", "1")), `["A","1"]`},
		{"empty value", tmpl.New(single("A", "")), `["A",""]`},
		{"vector", tmpl.New(vec("A", "B", "1", "C", "2")), `["A",{"B":"1","C":"2"}]`},
		{"empty vector", tmpl.New(vec("A")), `["A",{}]`},
		{"order and repetition", tmpl.New(vec("D", "I", "1"), single("A", "2"), single("D", "x"), single("A", "1"), vec("D")), `["A","2","A","1","D",{"I":"1"},"D","x","D",{}]`},
		{"escapes", tmpl.New(single("A", "\"\\/\b\f\n\r\t\x00\x1f<>&é☁😀\u2028")), "[\"A\",\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f<>&é☁😀\u2028\"]"},
		{"names in small letters", tmpl.New(single("a-b", "1"), vec("V", "cD", "2", "", "3")), `["V",{"":"3","cD":"2"},"a-b","1"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.t.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.stored {
				t.Errorf("stored\ngot  %s\nwant %s", got, tt.stored)
			}
			var back tmpl.Template
			if err := back.UnmarshalJSON(got); err != nil {
				t.Fatal(err)
			}
			checkTemplate(t, &back, tt.t.All()...)

			// As a field of a document, where the library escapes some more.
			type doc struct{ T, None *tmpl.Template }
			in := doc{T: tt.t}
			data, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			var out doc
			if err := json.Unmarshal(data, &out); err != nil {
				t.Fatal(err)
			}
			checkTemplate(t, out.T, tt.t.All()...)
			if out.None != nil {
				t.Error("a nil template came back as one")
			}
		})
	}
}

func TestStoredFormFreeLayout(t *testing.T) {
	var got tmpl.Template
	in := " [ \"B\" ,\t\"1\" , \"A\" ,\n{ \"Y\" : \"1\" , \"X\" : \"\\u0041\\ud83d\\ude00\" , \"Y\" : \"2\" } , \"C\",{ } ] \r\n"
	if err := got.UnmarshalJSON([]byte(in)); err != nil {
		t.Fatal(err)
	}
	checkTemplate(t, &got, vec("A", "X", "A😀", "Y", "2"), single("B", "1"), vec("C"))

	if err := got.UnmarshalJSON([]byte("null")); err != nil || got.Len() != 3 {
		t.Errorf("null: %v, %d attributes", err, got.Len())
	}
	if err := got.UnmarshalJSON([]byte("[\"A\",\"\xff\"]")); err != nil || got.Get("A") != "\uFFFD" {
		t.Errorf("not UTF-8: %v, %q", err, got.Get("A"))
	}
}

func TestStoredFormErrors(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, `offset 0: expected '['`},
		{`{}`, `offset 0: expected '['`},
		{`[`, `offset 1: expected a string`},
		{`["A"]`, `offset 4: expected ','`},
		{`["A",]`, `offset 5: expected a string`},
		{`["A","1",]`, `offset 9: expected a string`},
		{`["A","1" "B","2"]`, `offset 9: expected ','`},
		{`["A",1]`, `offset 5: expected a string`},
		{`["A",null]`, `offset 5: expected a string`},
		{`["A",["B","1"]]`, `offset 5: expected a string`},
		{`["A",{"B":{}}]`, `offset 10: expected a string`},
		{`["A",{"B"}]`, `offset 9: expected ':'`},
		{`["A",{"B":"1",}]`, `offset 14: expected a string`},
		{`["A",{"B":"1"]`, `offset 13: expected ','`},
		{`["A","1"`, `offset 8: expected ','`},
		{`["A","1"]x`, `offset 9: expected the end`},
		{`["A","1`, `offset 7: expected the end of a string`},
		{`["A","\`, `expected the end of a string`},
		{`["A","\q"]`, `string at offset 6`},
		{"[\"A\",\"a\nb\"]", `offset 7: expected no control character in a string`},
	} {
		got := *tmpl.New(single("KEPT", "1"))
		err := got.UnmarshalJSON([]byte(tt.in))
		if err == nil || !strings.HasPrefix(err.Error(), "decode stored template: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.in, err, tt.want)
		}
		checkTemplate(t, &got, single("KEPT", "1"))
	}
}
