package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestMegabytes(t *testing.T) {
	for in, want := range map[string]int64{
		"512": 512, "512m": 512, "512MB": 512, "2g": 2048, "1.5G": 1536, "0.5gb": 512, "1t": 1 << 20, " 7 ": 7, "0": 0, "1.9": 1,
	} {
		if got, err := megabytes(in); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "g", "-1", "1k", "1 g", "1..2", "0x10", "1e3", "nan", "inf", "99999999999t", strings.Repeat("9", 400)} {
		if got, err := megabytes(bad); err == nil {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}

func TestOctet(t *testing.T) {
	for in, want := range map[string]string{
		"640": "1 1 0 1 0 0 0 0 0", "7": "0 0 0 0 0 0 1 1 1", "u=rw,g=r": "1 1 0 1 0 0 0 0 0", "o=x": "0 0 0 0 0 0 0 0 1", "u=": "0 0 0 0 0 0 0 0 0",
	} {
		if got, err := octet(in); err != nil || strings.Trim(fmt.Sprint(got), "[]") != want {
			t.Errorf("%q: got %v, %v, want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "8", "0640", "-1", "a=r", "u=z", "u+r", "u=r,=w"} {
		if got, err := octet(bad); err == nil {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	c := &call{app: newApp(IO{Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, zone) }, Zone: zone})}
	for in, want := range map[string]time.Time{
		"2026-09-23 14:15":     time.Date(2026, 9, 23, 14, 15, 0, 0, zone),
		"2026-09-23":           time.Date(2026, 9, 23, 0, 0, 0, 0, zone),
		"09/23 14:15":          time.Date(2026, 9, 23, 14, 15, 0, 0, zone),
		"09/23/2027 14:15":     time.Date(2027, 9, 23, 14, 15, 0, 0, zone),
		"14:15":                time.Date(2026, 3, 1, 14, 15, 0, 0, zone),
		"2026-09-23T14:15:00Z": time.Date(2026, 9, 23, 14, 15, 0, 0, time.UTC),
	} {
		if got, ok := c.parseTime(in); !ok || !got.Equal(want) {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	for _, bad := range []string{"", "tomorrow", "25:00", "13/40 10:00"} {
		if got, ok := c.parseTime(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestSplitDevice(t *testing.T) {
	cases := []struct {
		in, object string
		attrs      []string
	}{
		{"alpine", "alpine", nil},
		{"alpine:size=100:target=vdb", "alpine", []string{`SIZE="100"`, `TARGET="vdb"`}},
		{"lan:mac=02:00:0a:00:00:01:ip=10.0.0.1", "lan", []string{`MAC="02:00:0a:00:00:01"`, `IP="10.0.0.1"`}},
		{`lan:name="a b"`, "lan", []string{`NAME="a b"`}},
	}
	for _, c := range cases {
		if object, attrs := splitDevice(c.in); object != c.object || !slices.Equal(attrs, c.attrs) {
			t.Errorf("%q: got %q %q, want %q %q", c.in, object, attrs, c.object, c.attrs)
		}
	}
}

func TestParseRule(t *testing.T) {
	cases := []struct {
		in   string
		want []any
		err  string
	}{
		{"* VM/* USE", []any{"400000000", "1400000000", "1"}, ""},
		{"#5 HOST/%100 MANAGE", []any{"100000005", "2800000064", "2"}, ""},
		{"@1 vm+image/@3 use+create #0", []any{"200000001", "9200000003", "9", "100000000"}, ""},
		{"@1 VM/#0 ADMIN *", []any{"200000001", "1100000000", "4", "400000000"}, ""},
		{"", nil, "String needs three components: User, Resource, Rights"},
		{"a b/c d", nil, "ID string 'a' malformed, Resource 'b' does not exist, Right 'd' does not exist"},
		{"#1 VM/#1/2 USE", nil, "Resource 'VM/#1/2' malformed"},
		{"%1 VM/* USE", nil, "ID string '%1' malformed"},
		{"#1 VM/* USE @1", nil, "ID string '@1' malformed"},
		{"#4294967296 VM/* USE", nil, "ID string '#4294967296' malformed"},
	}
	for _, c := range cases {
		r, err := parseRule(c.in)
		switch {
		case c.err != "" && (err == nil || err.Error() != c.err):
			t.Errorf("%q: got %v, want %s", c.in, err, c.err)
		case c.err == "" && (err != nil || !slices.Equal(r.args(), c.want)):
			t.Errorf("%q: got %v, %v, want %v", c.in, r.args(), err, c.want)
		}
	}
}

func TestPrompt(t *testing.T) {
	cases := []struct {
		input, typed, want, said string
	}{
		{"M|text|Name", "\nana\n", "ana", "a value is needed"},
		{"O|text|Name", "\n", "", ""},
		{"M|text|Name| |bob", "\n", "bob", "Press enter for default (bob)."},
		{"M|number|Size", "x\n1.5\n7\n", "7", "expected a whole number"},
		{"M|number-float|Size", "x\n1.5\n", "1.5", "expected a number"},
		{"M|range|Size|1..4|", "0\n5\n4\n", "4", "expected a number in the range 1..4"},
		{"M|range-float|Size|0.5..1.5|", "2\n1.25\n", "1.25", "Float in the range [0.5..1.5]"},
		{"M|boolean|Sure", "yes\nYES\n", "YES", "Boolean has to be YES or NO"},
		{"M|list|Colour|red,green|", "blue\ngreen\n", "green", "expected one of red,green"},
		{"M|list-multiple|Colour|red,green|", "red,blue\nred,green\n", "red,green", "expected one of red,green"},
		{"M|text64|Text", "hi\r\n", "aGk=", ""},
		{"M|password|Secret", "pw\n", "pw", ""},
	}
	for _, c := range cases {
		t.Run(c.input, func(t *testing.T) {
			in, err := parseInput("X", c.input)
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			got, err := (&call{app: newApp(IO{In: strings.NewReader(c.typed), Err: &said})}).prompt(in)
			if err != nil || got != c.want || !strings.Contains(said.String(), c.said) {
				t.Errorf("got %q, %v, want %q; said %s", got, err, c.want, &said)
			}
		})
	}
	// Who says nothing more is not asked for ever.
	in := userInput{name: "X", mandatory: true, kind: "number"}
	if got, err := (&call{app: newApp(IO{In: strings.NewReader("x\n"), Err: &bytes.Buffer{}})}).prompt(in); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestParseInputRefuses(t *testing.T) {
	for _, bad := range []string{"", "M|text", "M|list|a|b", "M|a|b|c|d|e"} {
		if in, err := parseInput("X", bad); err == nil {
			t.Errorf("%q: got %+v", bad, in)
		}
	}
}

func TestAsVector(t *testing.T) {
	for in, want := range map[string]string{
		"SIZE=1\nIP=1.2.3.4\n":         "AR=[\n  SIZE=1,\n  IP=1.2.3.4 ]",
		"SIZE=1,\n# first\nIP=1.2.3.4": "AR=[\n  SIZE=1,\n  IP=1.2.3.4 ]",
		"ar = [ SIZE=1 ]":              "ar = [ SIZE=1 ]",
		"<TEMPLATE><AR/></TEMPLATE>":   "<TEMPLATE><AR/></TEMPLATE>",
	} {
		if got := asVector("AR", in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The editor's text reads back as what it was made of.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "a b", `say "hi"`, `C:\`, `\"`, "a\nb", "]", "#", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vector := doc.TemplateText(&doc.Node{Kids: []*doc.Node{
			{Name: "A", Kids: []*doc.Node{{Name: "B", Text: s, HasText: true}, {Name: "C", Text: "end", HasText: true}}},
		}})
		parsed, err := tmpl.ParseText("A=" + quoted(s) + "\n" + vector)
		if err != nil {
			return // what XML cannot hold
		}
		want := s
		if strings.HasSuffix(s, `\`) {
			want += " "
		}
		attrs := parsed.All()
		if len(attrs) != 2 || attrs[0].Value != want || attrs[1].Vector[0].Value != want || attrs[1].Vector[1].Value != "end" {
			t.Errorf("%q became %v", s, attrs)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"* VM/* USE", "@1 VM+IMAGE/#2 USE+MANAGE *", "#5 HOST/%100 ADMIN #0", "a b/c d", "# / +"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRule(s)
		if err == nil && (r.user == 0 || r.resource == 0 || r.rights == 0 || len(r.args()) != len(strings.Fields(s))) {
			t.Errorf("%q became %v", s, r.args())
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, s := range []string{"alpine:size=1:mac=02:00", "M|range|Size|1..4|2", "1..9", "1.5g", "u=rwx,o=", "09/23 14:15", `AR=[ SIZE=1 ]`} {
		f.Add(s)
	}
	c := &call{app: newApp(IO{}), known: map[string]map[string][]int{vmPool.rname: {}}}
	f.Fuzz(func(t *testing.T, s string) {
		splitDevice(s)
		asVector("AR", s)
		c.parseTime(s)
		if in, err := parseInput("X", s); err == nil {
			in.check(s)
		}
		if mb, err := megabytes(s); err == nil && mb < 0 {
			t.Errorf("%q is %d MB", s, mb)
		}
		if bits, err := octet(s); err == nil && len(bits) != 9 {
			t.Errorf("%q became %v", s, bits)
		}
		if ids, err := c.ids(&vmPool, s); err == nil && (len(ids) == 0 || slices.Min(ids) < 0) {
			t.Errorf("%q became %v", s, ids)
		}
	})
}
