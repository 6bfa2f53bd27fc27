package doc_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

const vm = `<?xml version="1.0"?>
<VM><ID>7</ID><NAME>a &amp; b &#65;&#x42;</NAME><LOCK/><VMS></VMS><EMPTY><![CDATA[]]></EMPTY>
<!-- note -->
<TEMPLATE x="1>2"><CPU><![CDATA[0.5]]></CPU><DISK><ID>0</ID></DISK><DISK><ID>1</ID><OWNER>say "hi"</OWNER><GONE/></DISK></TEMPLATE></VM>`

func parse(t *testing.T, s string) *doc.Node {
	t.Helper()
	n, err := doc.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPaths(t *testing.T) {
	n := parse(t, vm)
	for path, want := range map[string]string{
		"ID": "7", "NAME": "a & b AB", "TEMPLATE/CPU": "0.5", "TEMPLATE/DISK/ID": "0", "TEMPLATE/NIC/IP": "", "LOCK": "",
	} {
		if got := n.Get(path); got != want {
			t.Errorf("Get(%q) = %q, want %q", path, got, want)
		}
	}
	if got := strings.Join(n.Texts("TEMPLATE/DISK/ID"), ","); got != "0,1" {
		t.Errorf("Texts = %q", got)
	}
	if n.Last("TEMPLATE/DISK").Get("ID") != "1" || n.Last("TEMPLATE/NIC") != nil {
		t.Error("Last took another")
	}
	if n.Int("ID") != 7 || n.Float("TEMPLATE/CPU") != 0.5 || n.Int("TEMPLATE/CPU") != 0 || n.Int("NAME") != 0 {
		t.Error("numbers are misread")
	}
	if !n.Has("LOCK") || n.Filled("LOCK") || n.Filled("EMPTY") || !n.Filled("TEMPLATE") || n.Has("GONE") {
		t.Error("presence is misread")
	}
	var none *doc.Node
	if none.Get("A/B") != "" || none.All("A") != nil || none.Has("A") || none.Without("A") != nil {
		t.Error("an absent element is not empty")
	}
	if n.At("LOCK").HasText || !n.At("EMPTY").HasText || !n.At("EMPTY").CDATA || n.At("TEMPLATE").HasText {
		t.Error("text and emptiness are confused")
	}
	if w := n.At("TEMPLATE").Without("DISK"); len(w.Kids) != 1 || len(n.All("TEMPLATE/DISK")) != 2 {
		t.Error("Without is wrong or changed its source")
	}
}

func TestTemplateText(t *testing.T) {
	n := parse(t, vm)
	want := "CPU=\"0.5\"\nDISK=[\n  ID=\"0\" ]\nDISK=[\n  ID=\"1\",\n  OWNER=\"say \\\"hi\\\"\" ]"
	if got := doc.TemplateText(n.At("TEMPLATE")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := doc.TemplateText(n.At("TEMPLATE"), "CPU"); got != `CPU="0.5"` {
		t.Errorf("got %s", got)
	}
	want = "CPU=\"0.5\"\nDISK=[ ID=\"0\" ]\nDISK=[ ID=\"1\", OWNER=\"say \\\"hi\\\"\" ]"
	if got := doc.FlatTemplateText(n.At("TEMPLATE")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if doc.TemplateText(n, "EMPTY", "VMS", "LOCK") != `EMPTY=""` {
		t.Error("empty texts and empty elements are confused")
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("<A>", doc.MaxDepth+1) + strings.Repeat("</A>", doc.MaxDepth+1)
	for _, bad := range []string{
		"", "text", "<A>", "<A></B>", "<A/><B/>", "<A>&no;</A>", "<A>&#xD800;</A>", "<A>&amp</A>", "<A><![CDATA[x</A>",
		"<![CDATA[x]]>", "<A", "<A x=\"", "<A/x>", "< A/>", "<A></A", "<!-- <A/>", deep,
	} {
		if n, err := doc.Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", bad, n)
		}
	}
	ok := strings.Repeat("<A>", doc.MaxDepth) + strings.Repeat("</A>", doc.MaxDepth)
	parse(t, ok)
}

// FuzzParse compares with encoding/xml: what both accept they read alike.
func FuzzParse(f *testing.F) {
	f.Add(vm)
	f.Add("<A>1<B>2</B>3</A>")
	f.Add("<A><![CDATA[<B>]]>&lt;</A>")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := doc.Parse(s)
		if err != nil {
			return
		}
		if want, ok := elements(s); ok {
			if got := names(n); got != want {
				t.Errorf("elements of %q\n got %s\nwant %s", s, got, want)
			}
		}
	})
}

func names(n *doc.Node) string {
	out := "<" + n.Name
	for _, k := range n.Kids {
		out += names(k)
	}
	return out + ">"
}

// elements lists the element names as encoding/xml reads them; not ok when it
// refuses the text or gives names a meaning (prefixes).
func elements(s string) (string, bool) {
	d := xml.NewDecoder(strings.NewReader(s))
	out := ""
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return out, true
		}
		if err != nil || strings.Contains(s, ":") || strings.Contains(s, "<!") {
			return "", false
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			out += "<" + tok.Name.Local
		case xml.EndElement:
			out += ">"
		}
	}
}
