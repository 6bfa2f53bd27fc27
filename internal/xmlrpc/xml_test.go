package xmlrpc

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendEscaped(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"<a>&", "&lt;a&gt;&amp;"}, {`"'`, `"'`}, {"&amp;", "&amp;amp;"}, {"]]>", "]]&gt;"},
		{"a\r\nb\tc", "a&#13;\nb\tc"}, {"\x00\x1f\x7f", "\uFFFD\uFFFD\x7f"}, {"é云😀", "é云😀"},
		{"\xff<\xc3", "\uFFFD&lt;\uFFFD"}, {"a\uFFFEb\uFFFFc\uFFFDd\uFFFC", "a\uFFFDb\uFFFDc\uFFFDd\uFFFC"},
		{strings.Repeat("<", 10000), strings.Repeat("&lt;", 10000)},
		{strings.Repeat("\r", 4096) + "x", strings.Repeat("&#13;", 4096) + "x"},
		{strings.Repeat("a", 4095) + "é", strings.Repeat("a", 4095) + "é"}, // a character over the border of two blocks
	}
	for _, tt := range tests {
		if got := string(AppendEscaped([]byte("x"), tt.in)); got != "x"+tt.want {
			t.Errorf("%.40q: got %.60q, want %.60q", tt.in, got, "x"+tt.want)
		}
		if got := string(AppendEscaped(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("%.40q as bytes: got %.60q, want %.60q", tt.in, got, tt.want)
		}
	}
}

func TestElements(t *testing.T) {
	type state uint8
	tests := []struct{ got, want string }{
		{string(AppendOpen(nil, "VM")), "<VM>"}, {string(AppendClose(nil, "VM")), "</VM>"}, {string(AppendEmpty(nil, "VM")), "<VM/>"},
		{string(AppendElem(nil, "NAME", "a<b")), "<NAME>a&lt;b</NAME>"}, {string(AppendElem(nil, "NAME", "")), "<NAME></NAME>"},
		{string(AppendInt(nil, "ID", -1)), "<ID>-1</ID>"}, {string(AppendInt(nil, "TIME", int64(1)<<40)), "<TIME>1099511627776</TIME>"},
		{string(AppendInt(nil, "STATE", state(255))), "<STATE>255</STATE>"}, {string(AppendInt(nil, "X", uint32(1<<32-1))), "<X>4294967295</X>"},
		{string(AppendBool(nil, "B", true)), "<B>1</B>"}, {string(AppendBool(nil, "B", false)), "<B>0</B>"},
		{string(AppendCDATA(nil, "A", "x & <y>")), "<A><![CDATA[x & <y>]]></A>"}, {string(AppendCDATA(nil, "A", "")), "<A><![CDATA[]]></A>"},
		{string(AppendCDATA(nil, "A", "a]]>b")), "<A><![CDATA[a]]]]><![CDATA[>b]]></A>"},
		{string(AppendCDATA(nil, "A", "]]>]]>")), "<A><![CDATA[]]]]><![CDATA[>]]]]><![CDATA[>]]></A>"},
		{string(AppendCDATA(nil, "A", "]]")), "<A><![CDATA[]]]]></A>"},
		{string(AppendCDATA(nil, "A", "a\x01\xff\uFFFF\n\t")), "<A><![CDATA[a\uFFFD\uFFFD\uFFFD\n\t]]></A>"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// mended is s as any XML document can hold it.
func mended(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}

// Whatever the text, another reader gets back what XML can hold of it.
func FuzzElements(f *testing.F) {
	for _, s := range []string{"", "a<b>&c", "]]>", "a\r\nb", "\x00\xff", "\uFFFE", "]]]]>>", "é云😀", "<![CDATA[x]]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		doc := AppendOpen(nil, "D")
		doc = AppendElem(doc, "E", s)
		doc = AppendCDATA(doc, "C", s)
		doc = AppendClose(doc, "D")
		var back struct{ E, C string }
		if err := xml.Unmarshal(doc, &back); err != nil {
			t.Fatalf("%q: %v in %q", s, err, doc)
		}
		want := mended(s)
		if back.E != want {
			t.Fatalf("element: got %q, want %q", back.E, want)
		}
		// A CDATA section cannot hold a bare carriage return.
		if lines := strings.ReplaceAll(strings.ReplaceAll(want, "\r\n", "\n"), "\r", "\n"); back.C != lines {
			t.Fatalf("CDATA: got %q, want %q", back.C, lines)
		}
	})
}
