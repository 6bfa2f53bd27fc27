package tmpl_test

import (
	"encoding/json"
	"encoding/xml"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func TestRender(t *testing.T) {
	tests := []struct {
		name            string
		t               *tmpl.Template
		xml, text, json string
	}{
		{"nil", nil, "", "", "{}"},
		{"empty", tmpl.New(), "", "", "{}"},
		{"single", tmpl.New(single("CPU", "1")), "<CPU><![CDATA[1]]></CPU>", "CPU=\"1\"\n", `{"CPU":"1"}`},
		{"empty value", tmpl.New(single("RESERVED_CPU", "")), "<RESERVED_CPU><![CDATA[]]></RESERVED_CPU>", "RESERVED_CPU=\"\"\n", `{"RESERVED_CPU":""}`},
		{
			// The BACKUP_CONFIG and DISK_SIZE of the documents in XML-RPC reference §8.1.
			"as documented", tmpl.New(
				single("NETTX", "1"), vec("DISK_SIZE", "SIZE", "830", "ID", "0"), single("CPU", "3.45")),
			"<CPU><![CDATA[3.45]]></CPU><DISK_SIZE><ID><![CDATA[0]]></ID><SIZE><![CDATA[830]]></SIZE></DISK_SIZE><NETTX><![CDATA[1]]></NETTX>",
			"CPU=\"3.45\"\nDISK_SIZE=[\n  ID=\"0\",\n  SIZE=\"830\" ]\nNETTX=\"1\"\n",
			`{"CPU":"3.45","DISK_SIZE":{"ID":"0","SIZE":"830"},"NETTX":"1"}`,
		},
		{
			// The user template in OneGate reference §1.7.
			"gate", tmpl.New(
				vec("HOT_RESIZE", "CPU_HOT_ADD_ENABLED", "NO", "MEMORY_HOT_ADD_ENABLED", "NO"), single("HYPERVISOR", "kvm"),
				single("LOAD", "0.42"), single("LOGO", "images/logos/linux.png"), single("NOTE", ""),
				vec("PEER", "HOST", "a", "PORT", "80"), vec("PEER", "HOST", "b", "PORT", "81")),
			"<HOT_RESIZE><CPU_HOT_ADD_ENABLED><![CDATA[NO]]></CPU_HOT_ADD_ENABLED><MEMORY_HOT_ADD_ENABLED><![CDATA[NO]]></MEMORY_HOT_ADD_ENABLED></HOT_RESIZE>" +
				"<HYPERVISOR><![CDATA[kvm]]></HYPERVISOR><LOAD><![CDATA[0.42]]></LOAD><LOGO><![CDATA[images/logos/linux.png]]></LOGO><NOTE><![CDATA[]]></NOTE>" +
				"<PEER><HOST><![CDATA[a]]></HOST><PORT><![CDATA[80]]></PORT></PEER><PEER><HOST><![CDATA[b]]></HOST><PORT><![CDATA[81]]></PORT></PEER>",
			"HOT_RESIZE=[\n  CPU_HOT_ADD_ENABLED=\"NO\",\n  MEMORY_HOT_ADD_ENABLED=\"NO\" ]\nHYPERVISOR=\"kvm\"\nLOAD=\"0.42\"\nLOGO=\"images/logos/linux.png\"\nNOTE=\"\"\n" +
				"PEER=[\n  HOST=\"a\",\n  PORT=\"80\" ]\nPEER=[\n  HOST=\"b\",\n  PORT=\"81\" ]\n",
			`{"HOT_RESIZE":{"CPU_HOT_ADD_ENABLED":"NO","MEMORY_HOT_ADD_ENABLED":"NO"},"HYPERVISOR":"kvm","LOAD":"0.42","LOGO":"images/logos/linux.png","NOTE":"",` +
				`"PEER":[{"HOST":"a","PORT":"80"},{"HOST":"b","PORT":"81"}]}`,
		},
		{"empty vector", tmpl.New(vec("A")), "<A></A>", "A=[ ]\n", `{"A":{}}`},
		{"mixed repetition", tmpl.New(single("A", "1"), vec("A", "B", "2"), single("A", "3")),
			"<A><![CDATA[1]]></A><A><B><![CDATA[2]]></B></A><A><![CDATA[3]]></A>", "A=\"1\"\nA=[\n  B=\"2\" ]\nA=\"3\"\n", `{"A":["1",{"B":"2"},"3"]}`},
		{"markup", tmpl.New(single("A", `<a href="x">&amp;</a>`)), `<A><![CDATA[<a href="x">&amp;</a>]]></A>`, `A="<a href=\"x\">&amp;</a>"` + "\n", `{"A":"<a href=\"x\">&amp;</a>"}`},
		{"lines", tmpl.New(single("A", "a\n\tb\r\\n")), "<A><![CDATA[a\n\tb\r\\n]]></A>", "A=\"a\n\tb\r\\n\"\n", `{"A":"a\n\tb\r\\n"}`},
		{"unicode", tmpl.New(single("A", "köln ☁ \u2028 😀")), "<A><![CDATA[köln ☁ \u2028 😀]]></A>", "A=\"köln ☁ \u2028 😀\"\n", "{\"A\":\"köln ☁ \u2028 😀\"}"},
		{"bare backslash", tmpl.New(single("A", `C:\`)), `<A><![CDATA[C:\]]></A>`, "A=C:\\\n", `{"A":"C:\\"}`},
		{"bare backslash, quotes", tmpl.New(single("A", `"a"\`)), `<A><![CDATA["a"\]]></A>`, `A=\"a\"\` + "\n", `{"A":"\"a\"\\"}`},
		{"backslash no text form has", tmpl.New(vec("A", "B", `a b\`, "C", "1")), `<A><B><![CDATA[a b\]]></B><C><![CDATA[1]]></C></A>`,
			"A=[\n  B=\"a b\\ \",\n  C=\"1\" ]\n", `{"A":{"B":"a b\\","C":"1"}}`},
		{"CDATA end", tmpl.New(single("A", "x]]>y]]>")), "<A><![CDATA[x]]]]><![CDATA[>y]]]]><![CDATA[>]]></A>", "A=\"x]]>y]]>\"\n", `{"A":"x]]>y]]>"}`},
		{"bad characters", tmpl.New(single("A", "a\x00b\x1fc\xffd\uFFFEe\uFFFF")),
			"<A><![CDATA[a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\uFFFD]]></A>", "A=\"a\x00b\x1fc\xffd\uFFFEe\uFFFF\"\n", "{\"A\":\"a\\u0000b\\u001fc\uFFFDd\uFFFEe\uFFFF\"}"},
		{"nameless pair", tmpl.New(vec("A", "", "x", "B", "1")), "<A><B><![CDATA[1]]></B></A>", "A=[\n  =\"x\",\n  B=\"1\" ]\n", `{"A":{"":"x","B":"1"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(form, got, want string) {
				t.Helper()
				if got != "before:"+want {
					t.Errorf("%s\ngot  %s\nwant %s", form, got, "before:"+want)
				}
			}
			before := func() []byte { return []byte("before:") }
			check("XML", string(tt.t.AppendXML(before())), tt.xml)
			check("JSON", string(tt.t.AppendJSON(before())), tt.json)
			check("text", string(tt.t.AppendText(before())), tt.text)
			if tt.t.Text() != tt.text {
				t.Error("Text and AppendText differ")
			}
			if !json.Valid(tt.t.AppendJSON(nil)) {
				t.Error("the JSON is not valid")
			}
			if err := xml.Unmarshal([]byte("<T>"+tt.xml+"</T>"), new(struct{})); err != nil {
				t.Errorf("the XML is not well formed: %v", err)
			}
		})
	}
}

// Every byte is a value of one character, and the last of one of each length
// up to where the eight-byte steps of the check have all been through.
func TestRenderEveryByte(t *testing.T) {
	for n := range 18 {
		for c := range 256 {
			value := string(append([]byte("0123456789abcdefgh")[:n], byte(c)))
			doc := tmpl.New(single("A", value)).AppendXML([]byte("<T>"))
			doc = append(doc, "</T>"...)
			var got struct{ A string }
			if err := xml.Unmarshal(doc, &got); err != nil {
				t.Fatalf("%d bytes, then 0x%02x: %v", n, c, err)
			}
			want := value
			switch {
			case c == '\r':
				want = value[:n] + "\n"
			case c < ' ' && c != '\t' && c != '\n' || c >= 0x80:
				want = value[:n] + "\uFFFD"
			}
			if got.A != want {
				t.Errorf("%d bytes, then 0x%02x: got %q, want %q", n, c, got.A, want)
			}
		}
	}
}
