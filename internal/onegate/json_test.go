package onegate

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func compactText(v *value) string {
	var b bytes.Buffer
	v.compact(&b)
	return b.String()
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`null`: `null`, ` true `: `true`, `-0.5e+10`: `-0.5e+10`, `""`: `""`,
		`{"b":1,"a":[ ],"c":{ }}`:              `{"b":1,"a":[],"c":{}}`,
		`"\u0041\u00e9\ud83d\ude00\/\b\u0001"`: "\"Aé😀/\\b\\u0001\"",
		`"\ud83d x \ude00"`:                    "\"\ufffd x \ufffd\"",
		"[\r\n\t1,\"<&>\"]":                    `[1,"<&>"]`,
	} {
		v, err := parseJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
		} else if got := compactText(v); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "nul", "01", "1.", "-", "+1", "1e", ".5", "[1,]", "[1", "{1:2}", `{"a"}`, `{"a":1,}`, `{"a":1`, `"`, `"\x"`, `"\u12"`, "\"\n\"", "1 2", "NaN", strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)} {
		if v, err := parseJSON([]byte(in)); err == nil {
			t.Errorf("%s accepted: %s", in, compactText(v))
		}
	}
}

func TestJSONLookups(t *testing.T) {
	v, err := parseJSON([]byte(`{"a":{"b":"x","b":"y"},"one":{"n":"1"},"many":["1","2"],"none":null,"n":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := v.get("a").get("b").String(); got != "y" {
		t.Errorf("the last of two members counts: %q", got)
	}
	if v.get("x").get("y").get("z").String() != "" || len(v.get("x").list()) != 0 || len(v.get("none").list()) != 0 {
		t.Error("what is not there is not empty")
	}
	if len(v.get("one").list()) != 1 || len(v.get("many").list()) != 2 || v.get("n").String() != "2" {
		t.Error("lists or numbers")
	}
}

// Whatever the standard library takes we take, and the other way round; what we
// print it reads as the same document.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{vmDoc, serviceDoc, routerDoc, `[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"]`, `{"a":`, `"\`, `01`, "\"\x7f\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseJSON(b)
		if err != nil {
			if json.Valid(b) && strings.Count(string(b), "[")+strings.Count(string(b), "{") <= maxDepth {
				t.Fatalf("%q refused: %v", b, err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q accepted", b)
		}
		var pretty bytes.Buffer
		v.pretty(&pretty, "")
		if !utf8.Valid(b) {
			return
		}
		for _, out := range []string{compactText(v), pretty.String()} {
			again, err := parseJSON([]byte(out))
			if err != nil || compactText(again) != compactText(v) {
				t.Fatalf("%q became %q: %v", b, out, err)
			}
			var x, y any
			if json.Unmarshal(b, &x) == nil && (json.Unmarshal([]byte(out), &y) != nil || !reflect.DeepEqual(x, y)) {
				t.Fatalf("%q became %q", b, out)
			}
		}
	})
}

func FuzzOptions(f *testing.F) {
	f.Add("vm update", "-d", "A=1")
	f.Add("--ext", "-jf", "--")
	f.Add("--data=", "-", "--=x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		o, err := parseOptions([]string{a, b, c})
		if (o == nil) == (err == nil) {
			t.Fatalf("options %v, error %v", o, err)
		}
		if err == nil && strings.ContainsAny(form(o.given...), " \n;") {
			t.Fatalf("form %q", form(o.given...))
		}
	})
}
