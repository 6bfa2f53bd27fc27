package render_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/golden"
)

type row struct{ id, name, stat string }

var table = render.Table[row]{
	Columns: []render.Column[row]{
		{Name: "ID", Desc: "number", Size: 4, Adjust: true, Value: func(r row) string { return r.id }},
		{Name: "NAME", Desc: "name", Size: 8, Left: true, Expand: true, Value: func(r row) string { return r.name }},
		{Name: "STAT", Desc: "state", Size: 4, State: true, Value: func(r row) string { return r.stat }},
		{Name: "LEN", Desc: "length of the name", Size: 3, Value: func(r row) string { return strings.Repeat("x", len(r.name)) }},
	},
	Default: []string{"ID", "NAME", "STAT"},
}

var rows = []row{{"7", "web-server-1", "runn"}, {"123456", "dß", ""}, {"9", "a,\"b\"", "fail"}}

func TestTable(t *testing.T) {
	cases := []struct {
		name   string
		layout render.Layout
		width  int
		colour bool
	}{
		{name: "plain"},
		{name: "no-header", layout: render.Layout{NoHeader: true}},
		{name: "columns", layout: render.Layout{List: []string{"name", "LEN"}}},
		{name: "csv", layout: render.Layout{CSV: true}},
		{name: "csv-del", layout: render.Layout{CSV: true, CSVDel: ";", NoHeader: true}},
		{name: "adjust", layout: render.Layout{Adjust: []string{"name"}}},
		{name: "size", layout: render.Layout{Size: []string{"name=3", "id=3"}}},
		{name: "terminal", width: 40, colour: true},
		{name: "no-expand", width: 40, layout: render.Layout{NoExpand: true}},
		{name: "expand-all", width: 60, layout: render.Layout{ExpandAll: true}},
		{name: "expand-shares", width: 60, layout: render.Layout{Expand: []string{"stat=0.25", "name=0.75"}}},
		{name: "too-narrow", width: 10},
		{name: "filter", layout: render.Layout{Filter: []string{"id>8"}}},
		{name: "filter-and", layout: render.Layout{Filter: []string{"ID>8", "NAME~b"}}},
		{name: "filter-or", layout: render.Layout{Filter: []string{"STAT=runn", "ID!=7"}, Operator: "or"}},
		{name: "filter-hidden", layout: render.Layout{List: []string{"NAME"}, Filter: []string{"STAT=fail"}}},
	}
	var all strings.Builder
	for _, c := range cases {
		var out bytes.Buffer
		s := render.NewScreen(&out, "")
		s.Width, s.Decorated = c.width, c.colour
		if err := table.Print(s, rows, c.layout); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		all.WriteString("== " + c.name + "\n" + out.String())
	}
	var out bytes.Buffer
	table.Describe(render.NewScreen(&out, ""))
	golden.Check(t, "testdata/tables.txt", all.String()+"== describe\n"+out.String())
}

// TestFilterSizes: sizes are ordered by what they mean, not by how they are written.
func TestFilterSizes(t *testing.T) {
	sizes := render.Table[string]{
		Columns: []render.Column[string]{{Name: "MEM", Size: 6, Value: func(s string) string { return s }}},
		Default: []string{"MEM"},
	}
	rows := []string{"64M", "256M", "2.3G", "1024M", "64T", "0K", "131072", "-"}
	for _, c := range []struct{ filter, want string }{
		{"MEM>100", "256M 2.3G 1024M 64T 131072"},
		{"MEM>=1G", "2.3G 1024M 64T"},
		{"MEM=1g", "1024M"},
		{"MEM=1GB", "1024M"},
		{"MEM=128M", "131072"},
		{"MEM<65536K", "0K"},
		{"MEM=-", "-"},
		{"MEM~24", "1024M"},
		{"MEM!=64M", "256M 2.3G 1024M 64T 0K 131072 -"},
	} {
		var out bytes.Buffer
		if err := sizes.Print(render.NewScreen(&out, ""), rows, render.Layout{CSV: true, NoHeader: true, Filter: []string{c.filter}}); err != nil {
			t.Errorf("%s: %v", c.filter, err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.filter, got, c.want)
		}
	}
}

func TestTableRefuses(t *testing.T) {
	for want, layout := range map[string]render.Layout{
		"Column BOO not defined.":                                      {List: []string{"boo"}},
		"Column 'boo' not found":                                       {Filter: []string{"boo=1"}},
		"Expression 'ID' incorrect":                                    {Filter: []string{"ID"}},
		"Expression '=7' incorrect":                                    {Filter: []string{"=7"}},
		`operator "XOR": expected AND or OR`:                           {Filter: []string{"ID=7"}, Operator: "XOR"},
		"Unknown column BOO":                                           {Size: []string{"boo=3"}},
		`size of column ID: "x" is not a number from 1 to 4096`:        {Size: []string{"id=x"}},
		`share of column ID: "2" is not a number above 0, at most 1`:   {Expand: []string{"id=2"}},
		`share of column ID: "NaN" is not a number above 0, at most 1`: {Expand: []string{"id=NaN"}},
	} {
		s := render.NewScreen(&bytes.Buffer{}, "")
		s.Width = 80
		if err := table.Print(s, rows, layout); err == nil || err.Error() != want {
			t.Errorf("%+v: got %v, want %s", layout, err, want)
		}
	}
}

const vmPool = `<VM_POOL><VM><ID>7</ID><LOCK/><TEMPLATE><CPU><![CDATA[1]]></CPU><DISK><DISK_ID><![CDATA[0]]></DISK_ID></DISK><EMPTY><![CDATA[]]></EMPTY></TEMPLATE><USER_TEMPLATE><NOTE><![CDATA[a "b" <c> & d: yes
two]]></NOTE><FLAG>YES</FLAG><MAC>02:00:10:00:00:11</MAC><NIC><A>1</A></NIC></USER_TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ></HISTORY></HISTORY_RECORDS></VM></VM_POOL>`

const userPool = `<USER_POOL><USER><ID>0</ID><GROUPS><ID>0</ID></GROUPS></USER><QUOTAS><ID>0</ID></QUOTAS><DEFAULT_USER_QUOTAS><DATASTORE_QUOTA></DATASTORE_QUOTA></DEFAULT_USER_QUOTAS></USER_POOL>`

const template = `<VMTEMPLATE><ID>3</ID><TEMPLATE><DISK><IMAGE_ID><![CDATA[0]]></IMAGE_ID></DISK><NIC><A>1</A></NIC><NIC><A>2 &amp; 3</A></NIC></TEMPLATE></VMTEMPLATE>`

func TestDocuments(t *testing.T) {
	docs := []string{vmPool, userPool, template, "<HOST_POOL></HOST_POOL>"}
	for name, print := range map[string]func(*render.Screen, *doc.Node) error{
		"documents.json": render.JSON, "documents.yaml": render.YAML, "documents.xml": render.XML,
	} {
		var out bytes.Buffer
		s := render.NewScreen(&out, "")
		for _, d := range docs {
			n, err := doc.Parse(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := print(s, n); err != nil {
				t.Fatal(err)
			}
		}
		golden.Check(t, "testdata/"+name, out.String())
	}
}

func TestRaw(t *testing.T) {
	raw := []byte(`{"b":{"x":"1","y":[1,2],"e":{},"l":[]},"a":"text","t":true}`)
	var out bytes.Buffer
	s := render.NewScreen(&out, "")
	if err := render.RawJSON(s, raw); err != nil {
		t.Fatal(err)
	}
	if err := render.RawYAML(s, raw); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/raw.txt", out.String())
	if err := render.RawJSON(s, []byte("no")); err == nil {
		t.Error("text that is not JSON was printed")
	}
}

func TestPanel(t *testing.T) {
	n, err := doc.Parse(`<X><PERMISSIONS><OWNER_U>1</OWNER_U><OWNER_M>1</OWNER_M><GROUP_U>1</GROUP_U><OTHER_A>1</OTHER_A></PERMISSIONS></X>`)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, decorated := range []bool{false, true} {
		s := render.NewScreen(&out, "")
		s.Decorated = decorated
		p := render.Panel{Screen: s, KeyWidth: 20}
		p.Title("VIRTUAL MACHINE %d INFORMATION", 7)
		p.Field("ID", "7")
		p.FieldIf("NOTHING", "")
		p.FieldIf("NAME", "a name longer than twenty characters")
		p.Blank()
		p.Permissions(n)
		p.IDs("HOSTS", []string{"1", "12"})
	}
	golden.Check(t, "testdata/panel.txt", out.String())
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		render.Size(0, 'K'): "0K", render.Size(1024, 'M'): "1024M", render.Size(1025, 'M'): "1G", render.Size(1536, 'M'): "1.5G",
		render.Size(3900000, 'K'): "3.7G", render.Size(1<<50, 'K'): "1048576T", render.Size(-5, 'M'): "-5M",
		render.YesNo(true): "Yes", render.LockLevel(0): "None", render.LockLevel(3): "Admin", render.LockLevel(9): "-",
		render.Time(0, render.Seconds, time.UTC):          "-",
		render.Time(1700000000, render.Seconds, time.UTC): "11/14 22:13:20",
		render.Time(1700000000, render.Year, time.UTC):    "11/14/23 22:13",
		render.Period(90061):                              "  1d 01h01m",
		render.ShortPeriod(3661):                          "  1h01m01s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTerminalIsNotCommanded(t *testing.T) {
	evil := []row{{"1", "\x1b[2J\u009bx", "runn"}}
	for _, decorated := range []bool{false, true} {
		var out bytes.Buffer
		s := render.NewScreen(&out, "")
		s.Decorated = decorated
		if err := table.Print(s, evil, render.Layout{NoHeader: true}); err != nil {
			t.Fatal(err)
		}
		render.Panel{Screen: s, KeyWidth: 5}.Field("NAME", "\x1b[2J\r")
		s.Println("said \x1b[2J")
		if got := strings.Count(out.String(), "\x1b[2J"); decorated && got != 0 || !decorated && got != 3 {
			t.Errorf("decorated %v: %q", decorated, &out)
		}
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	s := render.NewScreen(&out, "")
	p := render.NewProgress(s, "VMs", 2)
	p.Step()
	if out.Len() > 0 {
		t.Error("progress was shown where there is no terminal")
	}
	s.Decorated = true
	p.Step()
	if !strings.Contains(out.String(), "2/2 VMs") || !strings.HasSuffix(out.String(), "\x1b[K") {
		t.Errorf("got %q", out.String())
	}
}

// What users write about a layout is refused or obeyed.
func FuzzLayout(f *testing.F) {
	for _, s := range []string{"NAME", "NAME=20", "ID>=9", "STAT!=fail", "NAME~web", "NAME=0.5", "=", "NAME=-1", "ID=99999999999"} {
		f.Add(s, 80)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		words := strings.Split(s, ",")
		for _, l := range []render.Layout{
			{List: words}, {Filter: words}, {Filter: words, Operator: "OR"}, {Size: words}, {Expand: words}, {Adjust: words}, {CSV: true, CSVDel: s},
		} {
			var out bytes.Buffer
			screen := render.NewScreen(&out, "")
			screen.Width = width
			if err := table.Print(screen, rows, l); err != nil && out.Len() > 0 {
				t.Errorf("%+v: printed %q and failed: %v", l, &out, err)
			}
		}
	})
}

// A document printed as JSON or YAML is still the same document.
func FuzzDocuments(f *testing.F) {
	f.Add(template)
	f.Add(vmPool)
	f.Add("<VM><NAME>YES</NAME><MAC>02:00:0a</MAC><A>1e3</A><B>- x</B><C># no</C><D>null</D></VM>")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := doc.Parse(s)
		if err != nil {
			return
		}
		var asJSON, asYAML bytes.Buffer
		if err := render.JSON(render.NewScreen(&asJSON, ""), n); err != nil {
			t.Fatal(err)
		}
		if err := render.YAML(render.NewScreen(&asYAML, ""), n); err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(asJSON.Bytes(), &a); err != nil {
			t.Fatalf("%v in %s", err, &asJSON)
		}
		if err := yaml.Unmarshal(asYAML.Bytes(), &b); err != nil {
			t.Fatalf("%v in %s", err, &asYAML)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s\nis not\n%s", &asJSON, &asYAML)
		}
	})
}
