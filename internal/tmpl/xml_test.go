package tmpl_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestParseXML(t *testing.T) {
	tests := []struct {
		name, in string
		want     []tmpl.Attr
	}{
		{"empty root", "<TEMPLATE></TEMPLATE>", nil},
		{"self-closed root", "<TEMPLATE/>", nil},
		{"any root", "<VMTEMPLATE><A>1</A></VMTEMPLATE>", []tmpl.Attr{single("A", "1")}},
		{"text", "<T><A>1</A><B>x y</B></T>", []tmpl.Attr{single("A", "1"), single("B", "x y")}},
		{"CDATA", "<T><A><![CDATA[<&> \"]]]]></A></T>", []tmpl.Attr{single("A", `<&> "]]`)}},
		{"empty CDATA", "<T><A><![CDATA[]]></A></T>", []tmpl.Attr{single("A", "")}},
		{"text and CDATA", "<T><A>a<![CDATA[b]]>c<![CDATA[d]]></A></T>", []tmpl.Attr{single("A", "abcd")}},
		{"blank value", "<T><A> </A></T>", []tmpl.Attr{single("A", " ")}},
		{"entities", "<T><A>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#x1F600;&#x1f600;</A></T>", []tmpl.Attr{single("A", "<>&\"'AB😀😀")}},
		{"an entity is read once", "<T><A>&amp;lt;</A></T>", []tmpl.Attr{single("A", "&lt;")}},
		{"no entities in CDATA", "<T><A><![CDATA[&lt;]]></A></T>", []tmpl.Attr{single("A", "&lt;")}},
		{"empty elements are dropped", "<T><A></A><B/><C>1</C></T>", []tmpl.Attr{single("C", "1")}},
		{"vector", "<T><D><I>1</I><S>2</S></D></T>", []tmpl.Attr{vec("D", "I", "1", "S", "2")}},
		{"vector laid out", "<T>\n <D>\n  <I>1</I>\n  <S><![CDATA[]]></S>\n </D>\n</T>\n", []tmpl.Attr{vec("D", "I", "1", "S", "")}},
		{"empty sub-elements are dropped", "<T><D><I></I><S/><X>1</X></D></T>", []tmpl.Attr{vec("D", "X", "1")}},
		{"vector of nothing", "<T><D><I/></D></T>", []tmpl.Attr{vec("D")}},
		{"vector keeps the last", "<T><D><I>1</I><I>2</I></D></T>", []tmpl.Attr{vec("D", "I", "2")}},
		{"a later empty one does not count", "<T><D><I>1</I><I/></D></T>", []tmpl.Attr{vec("D", "I", "1")}},
		{"repeated", "<T><D><I>1</I></D><A>x</A><D><I>2</I></D></T>", []tmpl.Attr{single("A", "x"), vec("D", "I", "1"), vec("D", "I", "2")}},
		{"text besides elements", "<T>x<D>y<I>1</I>z</D>w</T>", []tmpl.Attr{vec("D", "I", "1")}},
		{"deeper levels are dropped", "<T><D><I><X>1</X></I><S>a<Y><Z>2</Z></Y>b</S></D></T>", []tmpl.Attr{vec("D", "S", "a")}},
		{"layout of a deeper level is no value", "<T><D><I>\n  <X>1</X>\n </I><S>2</S></D></T>", []tmpl.Attr{vec("D", "S", "2")}},
		{"names", "<t><aB>1</aB><v><cD>2</cD></v><_e>3</_e><XMLf>4</XMLf><g-h.i>5</g-h.i></t>",
			[]tmpl.Attr{single("AB", "1"), vec("V", "cD", "2"), single("_E", "3"), single("ONE_XMLF", "4"), single("G-H.I", "5")}},
		{"prefix", `<n:T xmlns:n="u"><n:A>1</n:A><n:V><n:B>2</n:B></n:V></n:T>`, []tmpl.Attr{single("A", "1"), vec("V", "B", "2")}},
		{"XML attributes", `<T a="1" b = '"' ><A c="&amp;x"/><B d=''>1</B ></T >`, []tmpl.Attr{single("B", "1")}},
		{"declaration", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!-- c --><T><?p i?><A>1<!-- - c -->2</A></T><!---->\n<?q?>", []tmpl.Attr{single("A", "12")}},
		{"blanks before", " \n\t<T><A>1</A></T>", []tmpl.Attr{single("A", "1")}},
		{"byte order mark", "\uFEFF<T><A>1</A></T>", []tmpl.Attr{single("A", "1")}},
		{"line ends", "<T><A>a\r\nb\rc&#13;</A><B><![CDATA[a\r\nb]]></B></T>", []tmpl.Attr{single("A", "a\nb\nc\r"), single("B", "a\nb")}},
		{"not the text grammar", `<T><A>x "y" \" # [,]=</A></T>`, []tmpl.Attr{single("A", `x "y" \" # [,]=`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for form, parse := range map[string]func(string) (*tmpl.Template, error){"Parse": tmpl.Parse, "ParseXML": tmpl.ParseXML} {
				got, err := parse(tt.in)
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				checkTemplate(t, got, tt.want...)
			}
		})
	}
}

func TestParseXMLErrors(t *testing.T) {
	const malformed = "Parse error: XML Template malformed."
	tests := []struct{ name, in, want string }{
		{"nothing", "", malformed},
		{"open bracket", "<", malformed},
		{"open tag", "<T", malformed},
		{"open root", "<T>", malformed},
		{"open child", "<T><A></T>", malformed},
		{"crossed", "<T><A><B></A></B></T>", malformed},
		{"stray end", "</T>", malformed},
		{"surplus end", "<T></T></T>", malformed},
		{"case matters", "<T></t>", malformed},
		{"prefix matters", "<n:T></T>", malformed},
		{"two roots", "<T/><T/>", malformed},
		{"text before", "<!-- --> x <T/>", malformed},
		{"text behind", "<T/>x", malformed},
		{"CDATA behind", "<T/><![CDATA[]]>", malformed},
		{"text only", "x", malformed},
		{"comment only", "<!-- -->", malformed},
		{"open comment", "<T><!-- </T>", malformed},
		{"dashes in a comment", "<T><!-- -- --></T>", malformed},
		{"open CDATA", "<T><![CDATA[</T>", malformed},
		{"open instruction", "<T><?p </T>", malformed},
		{"late declaration", "<T><?xml version='1.0'?></T>", malformed},
		{"unknown entity", "<T><A>&nbsp;</A></T>", malformed},
		{"bare ampersand", "<T><A>a & b</A></T>", malformed},
		{"open entity", "<T><A>&amp</A></T>", malformed},
		{"no character", "<T><A>&#0;</A></T>", malformed},
		{"half a character", "<T><A>&#xD800;</A></T>", malformed},
		{"beyond Unicode", "<T><A>&#x110000;</A></T>", malformed},
		{"empty reference", "<T><A>&#;</A></T>", malformed},
		{"signed reference", "<T><A>&#+65;</A></T>", malformed},
		{"document type", "<!DOCTYPE T [<!ENTITY a \"x\">]><T><A>&a;</A></T>", malformed},
		{"attribute without value", "<T a></T>", malformed},
		{"attribute without quotes", "<T a=1></T>", malformed},
		{"open attribute", "<T a=\"1></T>", malformed},
		{"markup in an attribute", "<T a='<'/>", malformed},
		{"entity in an attribute", "<T a='&b;'/>", malformed},
		{"attribute's name", "<T 1='a'/>", malformed},
		{"end tag's name", "<T></1>", malformed},
		{"more in an end tag", "<T></T a='1'>", malformed},
		{"open end tag", "<T></T", malformed},
		{"nameless instruction", "<? ?><T/>", malformed},
		{"instruction without a blank", "<?p?><?p/?><T/>", malformed},
		{"attributes touching", "<T a='1'b='2'/>", malformed},
		{"name", "<1T/>", malformed},
		{"two colons", "<a:b:c/>", malformed},
		{"no local name", "<a:/>", malformed},
		{"blank before the name", "< T/>", malformed},
		{"control character", "<T><A>\x01</A></T>", malformed},
		{"not UTF-8", "<T><A>\xff</A></T>", malformed},
		{"CDATA end in text", "<T><A>]]></A></T>", "Parse error."},
		{"CDATA end by reference", "<T><A>]]&gt;</A></T>", "Parse error."},
		{"CDATA end over two sections", "<T><A><![CDATA[]]]]><![CDATA[>]]></A></T>", "Parse error."},
		{"CDATA end in a vector", "<T><V><A>]]&gt;</A></V></T>", "Parse error."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tmpl.ParseXML(tt.in)
			if err == nil {
				t.Fatalf("accepted as %s", got.AppendStored(nil))
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseXMLDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	if _, err := tmpl.Parse(nested(tmpl.MaxDepth)); err != nil {
		t.Errorf("%d levels: %v", tmpl.MaxDepth, err)
	}
	for _, n := range []int{tmpl.MaxDepth + 1, 10_000, 1_000_000} {
		if _, err := tmpl.Parse(nested(n)); err == nil || err.Error() != "Parse error: XML Template malformed." {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}
