package tmpl_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var textSeeds = []string{
	"", "A=1", "A=\"x\"\nB=[C=1, D=\"2\"]\n# c\nE=\nF=[]\n", `A="q\"q" B=C:\ C={"a":1}`, "A=[\n 1B = \"\" ]\r\nXMLX=y", "A=\"open", "A= # c\n", "A=b=c", "A ; = 1", "]]>", "\uFEFFA=\u2028",
}

var xmlSeeds = []string{
	"<T/>", "<T><A>1</A><B><C><![CDATA[<x>]]></C><D/></B></T>", "<?xml version=\"1.0\"?><!-- c --><n:T a='1'>\n<A>&lt;&#65;</A>x<B>y<C>z<D>w</D></C></B></T>", "<T><A>a\r\nb</A></T>",
	"<T><A>]]&gt;</A></T>", "<T><A></T>", "<T>" + strings.Repeat("<a>", 300),
}

// checkParsed fails unless the template is one that all the forms can carry.
func checkParsed(t *testing.T, tm *tmpl.Template) {
	t.Helper()
	// The stored form is lossless.
	data, err := tm.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var back tmpl.Template
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if !back.Equal(tm) {
		t.Fatalf("stored: got %s, want %s", back.AppendStored(nil), data)
	}
	// The XML form is, but for the carriage return, which XML turns into a line
	// feed, and for an empty vector, which it has no form for.
	fromXML, err := tmpl.ParseXML("<T>" + string(tm.AppendXML(nil)) + "</T>")
	if err != nil {
		t.Fatalf("%s: %v", tm.AppendXML(nil), err)
	}
	if want := asXMLCarries(tm); !fromXML.Equal(want) {
		t.Fatalf("XML: got %s, want %s", fromXML.AppendStored(nil), want.AppendStored(nil))
	}
	// The JSON form is valid, and merging a template with itself changes nothing
	// but that it drops empty vectors.
	if doc := tm.AppendJSON(nil); !json.Valid(doc) {
		t.Fatalf("invalid JSON: %s", doc)
	}
	once := tm.Merge(tm)
	if !once.Equal(withoutEmptyVectors(tm)) || !once.Merge(tm).Equal(once) {
		t.Fatalf("merge: %s gives %s", data, once.AppendStored(nil))
	}
}

func withoutEmptyVectors(tm *tmpl.Template) *tmpl.Template {
	var as []tmpl.Attr
	for _, a := range tm.All() {
		if !a.IsVector() || len(a.Vector) > 0 {
			as = append(as, a)
		}
	}
	return tmpl.New(as...)
}

func asXMLCarries(tm *tmpl.Template) *tmpl.Template {
	lineEnds := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	var as []tmpl.Attr
	for _, a := range withoutEmptyVectors(tm).All() {
		a.Value = lineEnds.Replace(a.Value)
		for _, p := range a.Vector {
			a.Vector = a.Vector.With(p.Name, lineEnds.Replace(p.Value))
		}
		as = append(as, a)
	}
	return tmpl.New(as...)
}

func FuzzParseText(f *testing.F) {
	for _, s := range textSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		tm, err := tmpl.ParseText(in)
		if err != nil {
			checkParseError(t, tm, err)
			return
		}
		checkParsed(t, tm)
		again, err := tmpl.ParseText(tm.Text())
		if err != nil {
			t.Fatalf("%q does not parse again: %v", tm.Text(), err)
		}
		if !again.Equal(tm) && !hasTrailingBackslash(tm) {
			t.Fatalf("text: got %s, want %s", again.AppendStored(nil), tm.AppendStored(nil))
		}
	})
}

func checkParseError(t *testing.T, tm *tmpl.Template, err error) {
	t.Helper()
	var pe *tmpl.ParseError
	if tm != nil || !errors.As(err, &pe) || !strings.HasPrefix(err.Error(), "Parse error") {
		t.Fatalf("template %v, error %v", tm, err)
	}
}

// hasTrailingBackslash tells whether a value may be one the text form cannot say.
func hasTrailingBackslash(tm *tmpl.Template) bool {
	for _, a := range tm.All() {
		if strings.HasSuffix(a.Value, `\`) {
			return true
		}
		for _, p := range a.Vector {
			if strings.HasSuffix(p.Value, `\`) {
				return true
			}
		}
	}
	return false
}

// FuzzParseXML holds the reader against the standard library's: what it takes
// the library takes too, and reads the same from it.
func FuzzParseXML(f *testing.F) {
	for _, s := range xmlSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		tm, err := tmpl.ParseXML(in)
		if err != nil {
			checkParseError(t, tm, err)
			return
		}
		checkParsed(t, tm)
		want, err := libraryXML(in)
		if err != nil {
			if strings.Contains(err.Error(), "unsupported version") {
				return // we do not look into declarations
			}
			t.Fatalf("the library refuses it: %v", err)
		}
		if !tm.Equal(want) {
			t.Fatalf("got %s, want %s", tm.AppendStored(nil), want.AppendStored(nil))
		}
	})
}

// element is what libraryXML reads a document into.
type element struct {
	name     string
	before   string // text before the first child
	hasText  bool
	children []*element
}

// libraryXML reads a template with encoding/xml, by the words of the reference.
func libraryXML(in string) (*tmpl.Template, error) {
	d := xml.NewDecoder(strings.NewReader(strings.TrimLeft(strings.TrimPrefix(in, "\uFEFF"), " \t\r\n")))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	stack := []*element{{}}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(top.children) == 0 {
				top.before += string(token)
				top.hasText = true
			}
		}
	}
	if len(stack[0].children) != 1 {
		return nil, errors.New("not one root element")
	}
	upper := func(s string) string {
		return strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, s)
	}
	var as []tmpl.Attr
	for _, e := range stack[0].children[0].children {
		name := upper(e.name)
		if strings.HasPrefix(e.name, "XML") {
			name = "ONE_" + name
		}
		if len(e.children) == 0 {
			if e.hasText {
				as = append(as, tmpl.Single(name, e.before))
			}
			continue
		}
		v := tmpl.Vector{}
		for _, sub := range e.children {
			if layout := len(sub.children) > 0 && strings.Trim(sub.before, " \t\r\n") == ""; sub.hasText && !layout {
				v = v.With(sub.name, sub.before)
			}
		}
		as = append(as, tmpl.Attr{Name: name, Vector: v})
	}
	return tmpl.New(as...), nil
}

func FuzzParse(f *testing.F) {
	for _, s := range append(textSeeds, xmlSeeds...) {
		f.Add(" \n"+s, "B=2")
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		old, err := tmpl.Parse(a)
		if err != nil {
			checkParseError(t, old, err)
			return
		}
		over, err := tmpl.Parse(b)
		if err != nil {
			return
		}
		checkMerge(t, old, over)
	})
}

// checkMerge holds a merge against the words of the reference: by name, all of
// the old or all of the new.
func checkMerge(t interface{ Fatalf(string, ...any) }, old, over *tmpl.Template) {
	got := old.Merge(over)
	var want []tmpl.Attr
	for _, a := range old.All() {
		if !over.Has(a.Name) {
			want = append(want, a)
		}
	}
	want = append(want, withoutEmptyVectors(over).All()...)
	if !got.Equal(tmpl.New(want...)) {
		t.Fatalf("%s and %s give %s", old.AppendStored(nil), over.AppendStored(nil), got.AppendStored(nil))
	}
	if !got.Merge(over).Equal(got) {
		t.Fatalf("%s again gives %s", over.AppendStored(nil), got.Merge(over).AppendStored(nil))
	}
}

// FuzzStored holds the reader of the stored form against the standard library:
// what it takes is valid JSON, and comes back the same from being stored.
func FuzzStored(f *testing.F) {
	for _, s := range []string{`[]`, `["A","1","B",{"C":"\u0041","D":""}]`, ` [ "B" , "\\" ] `, `["A",{"B":"1","B":"2"}]`, `["A",1]`, `null`, "[\"\xff\",\"\\ud800\"]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var tm, back tmpl.Template
		if err := tm.UnmarshalJSON(in); err != nil {
			return
		}
		if !json.Valid(in) {
			t.Fatalf("took what is not JSON: %q", in)
		}
		data := tm.AppendStored(nil)
		if err := back.UnmarshalJSON(data); err != nil || !back.Equal(&tm) {
			t.Fatalf("%q stored as %q: %v", in, data, err)
		}
	})
}
