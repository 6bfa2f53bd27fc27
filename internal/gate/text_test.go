package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// show writes a template so that nothing of it is hidden.
func show(t *tmpl.Template) string {
	var b strings.Builder
	for _, a := range t.All() {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if !a.IsVector() {
			fmt.Fprintf(&b, "%s=%q", a.Name, a.Value)
			continue
		}
		fmt.Fprintf(&b, "%s=[", a.Name)
		for i, p := range a.Vector {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%s=%q", p.Name, p.Value)
		}
		b.WriteByte(']')
	}
	return b.String()
}

func TestParseChange(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// What the original reads.
		{`READY=YES`, `READY="YES"`},
		{`A=1\nB=2`, `A="1" B="2"`},
		{"A=1\nB=2", `A="1" B="2"`},
		{"A=1\n\nB=2\n", `A="1" B="2"`},
		{`A=hello world`, `A="hello world"`},
		{`A=a=b`, `A="a=b"`},
		{`A==b`, `A="=b"`},
		{`A="x" B="y"`, `A="x" B="y"`},
		{`A="x"\nB=2`, `A="x" B="2"`},
		{`A=[B="1",C="2"]`, `A=[B="1" C="2"]`},
		{`A=hello B=2`, `A="hello B=2"`}, // a line is one attribute
		{`lower=x`, `LOWER="x"`},
		{`9lives=x`, `ONE_9LIVES="x"`},
		{"# a comment\nA=1", `A="1"`},
		{"A=a#b", `A="a#b"`},
		{"<T><A>1</A><B><C><![CDATA[x, y]]></C></B></T>", `A="1" B=[C="x, y"]`},
		{"\n <T><A/></T>", ``},
		{"", ``},
		{"A=1\nA=2", `A="1" A="2"`},
		// What it breaks, or keeps blanks of.
		{`READY = YES`, `READY="YES"`},
		{"A=1\r\nB=2\r\n", `A="1" B="2"`},
		{`A=a,b`, `A="a,b"`},
		{`A=[B=1,C=2]`, `A=[B="1" C="2"]`},
		{`A = [ B = hello world , C = "x" ]`, `A=[B="hello world" C="x"]`},
		{`A=[B=1,2,C=3]`, `A=[B="1,2" C="3"]`},
		{"A=[\n  B=\"x, ]y\",\n  C=a=b\n]\nD=1", `A=[B="x, ]y" C="a=b"] D="1"`},
		{`A=[]`, `A=[]`},
		{`A=[B=]`, `A=[B=""]`},
		{`A=say "hi"`, `A="say \"hi\""`},
		{`A="say \"hi\""`, `A="say \"hi\""`},
		{`A={"k":"v, \"w\"","l":[1,2]}`, `A="{\"k\":\"v, \\\"w\\\"\",\"l\":[1,2]}"`},
		{"A={\n \"k\": 1\n}\nB=2", `A="{\n \"k\": 1\n}" B="2"`},
		{`A=[1,2,"x"]`, `A="[1,2,\"x\"]"`},
		{`A={not json`, `A="{not json"`},
		{`A=back\slash`, `A="back\\slash"`},
		{`A=C:\new`, `A="C:\\new"`}, // no line end: what follows is no attribute
		{`A=C:\dir\`, `A="C:\\dir\\"`},
		{`A="quoted, text"`, `A="quoted, text"`},
		{`A= "x"`, `A="x"`},
		{`A=`, `A=""`},
		{"A=\nB=1", `A="" B="1"`},
		{`A=\nB=1`, `A="" B="1"`},
		{`A=x\n`, `A="x"`},
		{`A=x\n\nB=1`, `A="x" B="1"`},
		{`A=x\n# c`, `A="x"`},
		{`A=YWJj=`, `A="YWJj="`},
		{`A=x[1]`, `A="x[1]"`},
		{`A=http://h/p?q=1&r=2#f`, `A="http://h/p?q=1&r=2#f"`},
		{`A=é ü`, `A="é ü"`},
	} {
		got, err := parseChange([]byte(c.in), new([]byte))
		if err != nil {
			t.Errorf("%q: %v, want %s", c.in, err, c.want)
		} else if s := show(got); s != c.want {
			t.Errorf("%q: %s, want %s", c.in, s, c.want)
		}
	}
}

func TestParseChangeRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`ACTIVE`, "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 1:7"},
		{`A="x`, "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{`A=[B="1"`, ""},
		{`A=[B]`, ""},
		{`A="a","b"`, ""},
		{`A-B=1`, ""},
		{`=1`, ""},
		{"A=\x00", ""},
		{"A=\xff", ""},
		{"A=x]]>y", "Parse error."},
		{"<T><A>1</T>", "Parse error: XML Template malformed."},
		{`A=C:\a dir\`, ""}, // the template language has no way to hold it
	} {
		got, err := parseChange([]byte(c.in), new([]byte))
		var parse *tmpl.ParseError
		if !errors.As(err, &parse) {
			t.Errorf("%q: %s, %v, want a parse error", c.in, show(got), err)
		} else if c.want != "" && err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.in, err, c.want)
		}
	}
}

func TestParseChangeBounds(t *testing.T) {
	for name, in := range map[string]string{
		"attributes":     strings.Repeat("A=1\n", maxAttributes+1),
		"sub-attributes": "A=[" + strings.Repeat("B=1,", maxAttributes) + "C=1]",
		"XML":            "<T>" + strings.Repeat("<A>1</A>", maxAttributes+1) + "</T>",
		"quoted":         strings.Repeat(`A="1" `, maxAttributes+1),
	} {
		if _, err := parseChange([]byte(in), new([]byte)); !errors.Is(err, errTooMany) {
			t.Errorf("%s: %v", name, err)
		}
	}
	name := strings.Repeat("N", maxName)
	for _, in := range []string{"N" + name + "=1", "A=[N" + name + "=1]", "A=[B=1, N" + name + "=\"1\"]", "<T><N" + name + ">1</N" + name + "></T>"} {
		if _, err := parseChange([]byte(in), new([]byte)); !errors.Is(err, errLongName) {
			t.Errorf("%.10s: %v", in, err)
		}
	}
	for _, in := range []string{name + "=1", "A=[" + name + "=1]", "A=[" + strings.Repeat("1", 2*maxName) + "]"} {
		if _, err := parseChange([]byte(in), new([]byte)); err != nil {
			t.Errorf("%.10s: %v", in, err)
		}
	}
	if got, err := parseChange([]byte(strings.Repeat("A=1\n", maxAttributes)), new([]byte)); err != nil || got.Len() != maxAttributes {
		t.Errorf("as many as may be: %v", err)
	}
}

// FuzzParseChange looks for input that panics, that is taken though the template
// language cannot hold it, or that takes more time than its length explains.
func FuzzParseChange(f *testing.F) {
	for _, s := range []string{
		"READY=YES", `A=1\nB=2`, `A={"a":[1,{"b":"\n"}]}`, `A=[B=1,2,C="x"]`, "# c\nA=\"x\\\"y\" B=[ ]", "<T><A>1</A></T>", `A=\\`,
		"\uFEFFA=1", "A=[\n\nB=\t,C=]", `A=x\nB`, "A=1\x00", `A="`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := parseChange([]byte(in), new([]byte))
		var parse *tmpl.ParseError
		switch {
		case err == nil:
		case errors.Is(err, errTooMany), errors.As(err, &parse):
			return
		default:
			t.Fatalf("%q: an error of another kind: %v", in, err)
		}
		back, err := tmpl.ParseXML("<T>" + string(got.AppendXML(nil)) + "</T>")
		if err != nil {
			t.Fatalf("%q gives %s, which is not well-formed: %v", in, show(got), err)
		}
		// An element without any text says nothing, so an empty vector goes; and XML
		// has but one line end.
		if strings.Contains(in, "\r") {
			return
		}
		for _, a := range got.All() {
			if a.IsVector() && len(a.Vector) == 0 {
				return
			}
		}
		if !back.Equal(got) {
			t.Fatalf("%q gives %s, read back %s", in, show(got), show(back))
		}
	})
}
