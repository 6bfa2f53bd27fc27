package onexml_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/onexml"
)

// Cases of the OneGate reference §1.5.
func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name, xml, want string
		arrays          []string
	}{
		{"text", "<A>3</A>", `{"A":"3"}`, nil},
		{"CDATA", `<A><![CDATA[a "quoted" <b>]]></A>`, `{"A":"a \"quoted\" <b>"}`, nil},
		{"empty CDATA", "<A><![CDATA[]]></A>", `{"A":""}`, nil},
		{"empty element", "<A/>", `{"A":{}}`, nil},
		{"empty collection", "<A><VMS></VMS></A>", `{"A":{"VMS":{}}}`, nil},
		{"entities", "<A>&lt;&#65;&amp;</A>", `{"A":"<A&"}`, nil},
		{"children", "<A><B>1</B><C><D>2</D></C></A>", `{"A":{"B":"1","C":{"D":"2"}}}`, nil},
		{"repeated", "<A><B>1</B><C/><B><D>2</D></B></A>", `{"A":{"B":["1",{"D":"2"}],"C":{}}}`, nil},
		{"alone", "<A><B>1</B></A>", `{"A":{"B":["1"]}}`, []string{"A/B"}},
		{"alone elsewhere", "<A><B>1</B><C><B>2</B></C></A>", `{"A":{"B":"1","C":{"B":["2"]}}}`, []string{"A/C/B"}},
		{"blanks", "<A>\n <B>1</B>\n</A>\n", `{"A":{"B":"1"}}`, nil},
	} {
		got, err := onexml.AppendJSON(nil, []byte(c.xml), c.arrays...)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestJSONRefusals(t *testing.T) {
	for name, doc := range map[string]string{
		"cut":         "<A><B>",
		"no document": "",
		"two roots":   "<A/><B/>",
		"too deep":    strings.Repeat("<A>", 100) + strings.Repeat("</A>", 100),
		"too long":    "<A>" + strings.Repeat(" ", onexml.MaxJSONInput) + "</A>",
	} {
		if got, err := onexml.AppendJSON([]byte("kept"), []byte(doc)); err == nil || string(got) != "kept" {
			t.Errorf("%s: got %.80s, %v; want an error and nothing appended", name, got, err)
		}
	}
}

// Every document of the API converts, and nothing of it is lost.
func TestJSONOfDocuments(t *testing.T) {
	for _, doc := range documents(t) {
		if doc.name == "defaultquotas" {
			continue
		}
		text, err := onexml.AppendJSON(nil, doc.text)
		if err != nil {
			t.Errorf("%s: %v", doc.name, err)
			continue
		}
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil || len(v) != 1 {
			t.Errorf("%s: %v in %s", doc.name, err, text)
		}
		if doc.name != "vm" {
			continue
		}
		vm := v["VM"].(map[string]any)["TEMPLATE"].(map[string]any)
		disks, many := vm["DISK"].([]any)
		if nic, one := vm["NIC"].(map[string]any); !many || len(disks) != 2 || !one || nic["IP"] != "10.0.0.11" {
			t.Errorf("%s: %v", doc.name, vm)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{"<A/>", "<A><B>1</B><B>2</B></A>", `<A x="1"><![CDATA[]]>&amp;</A>`, "<A>\xff\x00</A>", "<A><!-- --></A>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := onexml.AppendJSON(nil, in, "A/B")
		if err == nil && !json.Valid(out) {
			t.Errorf("%q became %q", in, out)
		}
	})
}
