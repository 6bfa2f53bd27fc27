package tmpl_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func single(name, value string) tmpl.Attr { return tmpl.Single(name, value) }

func vec(name string, pairs ...string) tmpl.Attr { return tmpl.Vec(name, pairs...) }

// checkTemplate fails unless got holds exactly the attributes want.
func checkTemplate(t *testing.T, got *tmpl.Template, want ...tmpl.Attr) {
	t.Helper()
	if w := tmpl.New(want...); !got.Equal(w) {
		t.Errorf("got  %s\nwant %s", got.AppendStored(nil), w.AppendStored(nil))
	}
}

func TestParseText(t *testing.T) {
	tests := []struct {
		name, in string
		want     []tmpl.Attr
	}{
		{"empty", "", nil},
		{"blank", " \t\n\n \r\n", nil},
		{"quoted", `A="x"`, []tmpl.Attr{single("A", "x")}},
		{"quoted empty", `A=""`, []tmpl.Attr{single("A", "")}},
		{"unquoted", `A=x`, []tmpl.Attr{single("A", "x")}},
		{"blanks around equals", "A \t= \t x", []tmpl.Attr{single("A", "x")}},
		{"empty value", "A=\nB=1", []tmpl.Attr{single("A", ""), single("B", "1")}},
		{"empty value, blanks", "A = \t \n", []tmpl.Attr{single("A", "")}},
		{"empty value does not take the next line", "A =\n\nB = 1\n", []tmpl.Attr{single("A", ""), single("B", "1")}},
		{"several on a line", `A=1 B="2" C=3`, []tmpl.Attr{single("A", "1"), single("B", "2"), single("C", "3")}},
		{"touching", `A="1"B="2"`, []tmpl.Attr{single("A", "1"), single("B", "2")}},
		{"sorted by name", "B=1\nA=2", []tmpl.Attr{single("A", "2"), single("B", "1")}},
		{"repeated names stay in order", "A=2\nB=x\nA=1\nA=[C=3]", []tmpl.Attr{single("A", "2"), single("A", "1"), vec("A", "C", "3"), single("B", "x")}},
		{"quoted takes all", "A=\"a = [b], # c\n\td\"", []tmpl.Attr{single("A", "a = [b], # c\n\td")}},
		{"escaped quote", `A="say \"hi\""`, []tmpl.Attr{single("A", `say "hi"`)}},
		{"escaped quote alone", `A="\""`, []tmpl.Attr{single("A", `"`)}},
		{"other backslashes stay", `A="a\b\\c\n\t"`, []tmpl.Attr{single("A", `a\b\\c\n\t`)}},
		{"backslash before escaped quote", `A="\\""`, []tmpl.Attr{single("A", `\"`)}},
		{"unquoted escaped quote", `A=a\"b`, []tmpl.Attr{single("A", `a"b`)}},
		{"unquoted quotes inside", `A={"a":1}`, []tmpl.Attr{single("A", `{"a":1}`)}},
		{"unquoted backslash at the end", "A=C:\\\nB=1", []tmpl.Attr{single("A", `C:\`), single("B", "1")}},
		{"unquoted free characters", "A=http://h:1/p?q&r;{}<>|'$%@!", []tmpl.Attr{single("A", "http://h:1/p?q&r;{}<>|'$%@!")}},
		{"unicode", `A="köln ☁"`, []tmpl.Attr{single("A", "köln ☁")}},
		{"byte order mark", "\uFEFFA=1", []tmpl.Attr{single("A", "1")}},
		{"CRLF", "A=1\r\nB=\r\nC=\"x\r\ny\"\r\nD=[ E=1,\r\n F=2 ]\r\n", []tmpl.Attr{single("A", "1"), single("B", ""), single("C", "x\r\ny"), vec("D", "E", "1", "F", "2")}},

		{"vector", `NIC=[NETWORK="n",IP=10.0.0.1]`, []tmpl.Attr{vec("NIC", "NETWORK", "n", "IP", "10.0.0.1")}},
		{"vector, free layout", "NIC = [\n NETWORK = \"n\" ,\n\n\tIP = 1.2.3.4\n]\nA=1", []tmpl.Attr{single("A", "1"), vec("NIC", "NETWORK", "n", "IP", "1.2.3.4")}},
		{"empty vector", `A=[]`, []tmpl.Attr{vec("A")}},
		{"empty vector, blanks", "A = [ \n ]\n", []tmpl.Attr{vec("A")}},
		{"vector with empty value", `A=[B=""]`, []tmpl.Attr{vec("A", "B", "")}},
		{"vector keeps the first", `A=[B=1,b=2,B=3]`, []tmpl.Attr{vec("A", "B", "1")}},
		{"vectors of one name", `D=[I=1] D=[I=2]`, []tmpl.Attr{vec("D", "I", "1"), vec("D", "I", "2")}},
		{"value like a vector", `A="[B=1]"`, []tmpl.Attr{single("A", "[B=1]")}},

		{"comment", "# one\nA=1\n  # two = [\n\t#\nB=2\n", []tmpl.Attr{single("A", "1"), single("B", "2")}},
		{"comment behind values", "A=1 # x\nB=\"2\" # y\nC=[D=1]#z\n", []tmpl.Attr{single("A", "1"), single("B", "2"), vec("C", "D", "1")}},
		{"comments in a vector", "A=[ # x\n B=1, # y\n C=2 # z\n]", []tmpl.Attr{vec("A", "B", "1", "C", "2")}},
		{"comment only", "#\n", nil},

		{"names upper-cased", "aB_1=x\nv=[cD=y]", []tmpl.Attr{single("AB_1", "x"), vec("V", "CD", "y")}},
		{"digit first", "1a=x\n_b=y", []tmpl.Attr{single("ONE_1A", "x"), single("_B", "y")}},
		{"XML first", "XMLa=x\nXML=[B=1]\nxmlc=y\nXmlD=z", []tmpl.Attr{single("ONE_XMLA", "x"), vec("ONE_XML", "B", "1"), single("XMLC", "y"), single("XMLD", "z")}},
		{"XML first in a vector", "A=[XMLB=1]", []tmpl.Attr{vec("A", "XMLB", "1")}},
		{"digit first in a vector", "A=[1B=x]", []tmpl.Attr{vec("A", "ONE_1B", "x")}},
		{"number as name", "5=6", []tmpl.Attr{single("ONE_5", "6")}},

		// As a guest's data reach the core (OneGate reference §1.11).
		{"gate: plain", `READY="YES"`, []tmpl.Attr{single("READY", "YES")}},
		{"gate: kept blank", `READY =" YES"`, []tmpl.Attr{single("READY", " YES")}},
		{"gate: two lines", "A=\"1\"\nB=\"2\"", []tmpl.Attr{single("A", "1"), single("B", "2")}},
		{"gate: equals", `A="a=b"`, []tmpl.Attr{single("A", "a=b")}},
		{"gate: bare", "APP_LOAD = 9.7", []tmpl.Attr{single("APP_LOAD", "9.7")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for form, parse := range map[string]func(string) (*tmpl.Template, error){"Parse": tmpl.Parse, "ParseText": tmpl.ParseText} {
				got, err := parse(tt.in)
				if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				checkTemplate(t, got, tt.want...)
			}
		})
	}
}

func TestParseTextErrors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		// Messages seen from the original, with the template that caused them.
		{"seen: quotes in quotes", "DISK=[\n  CACHE=\"none\",\n  DISCARD=\"unmap\",\n  IMAGE_ID=\"190\",\n  IO=\"native\"\n]\n\n" +
			"SCHED_REQUIREMENTS=\"CLUSTER_ID=\"102\" | CLUSTER_ID=\"101\"\"\nSCHED_DS_REQUIREMENTS=\"ID=\"100\" | ID=\"104\"\"\n",
			"Parse error: syntax error, unexpected VARIABLE, expecting EQUAL or EQUAL_EMPTY at line 7, columns 117:127"},
		{"seen: quotes at the end", `SCHED_MESSAGE = "Mon Mar  7 21:59:09 2022: Cannot dispatch VM: No host meets capacity and SCHED_REQUIREMENTS: (CLUSTER_ID = 0) & !(PUBLIC_CLOUD = YES) & (PIN_POLICY = PINNED) & ( HYPERVISOR="lx*" )"`,
			"Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 198:199"},
		{"seen: free text", "shell-init: error retrieving current directory\n",
			"Parse error: syntax error, unexpected VARIABLE, expecting EQUAL or EQUAL_EMPTY at line 0, columns 7:11"},

		{"equals behind a value", "A=b=c", "Parse error: syntax error, unexpected EQUAL, expecting $end at line 0, columns 4:5"},
		{"equals first", " = b", "Parse error: syntax error, unexpected EQUAL, expecting $end at line 0, columns 1:4"},
		{"comma behind a value", "A=a,b", "Parse error: syntax error, unexpected COMMA, expecting $end at line 0, columns 4:5"},
		{"bracket behind a value", "A=a ]", "Parse error: syntax error, unexpected CBRACKET, expecting $end at line 0, columns 4:6"},
		{"name alone", "A", "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 1:2"},
		{"name alone, line end", "A\n", "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 1, columns 2:3"},
		{"two words", "A=x y\nB=1", "Parse error: syntax error, unexpected VARIABLE, expecting EQUAL or EQUAL_EMPTY at line 1, columns 7:8"},
		{"hyphen", "MY-ATTR=1", "Parse error: syntax error, unexpected VARIABLE, expecting EQUAL or EQUAL_EMPTY at line 0, columns 4:8"},
		{"no value at the end", "A=", "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 2:3"},
		{"equals as value", "A==b", "Parse error: syntax error, unexpected EQUAL, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{"comma as value", "A=,", "Parse error: syntax error, unexpected COMMA, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{"comment as value", "A= # none\n", "Parse error: syntax error, unexpected invalid token, expecting OBRACKET or CCDATA or STRING at line 0, columns 4:5"},
		{"open quote", "A=\"b\nC=1\n", "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{"lone quote in a value", `A=a"b`, "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{"open quote, escaped", `A="C:\"`, "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},
		{"comment without line end", "A=1 # foo", "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 7:10"},

		{"vector: empty value", "A=[B=\n]", "Parse error: syntax error, unexpected EQUAL_EMPTY, expecting EQUAL at line 1, columns 5:7"},
		{"vector: no value", "A=[B=,C=1]", "Parse error: syntax error, unexpected COMMA, expecting STRING at line 0, columns 6:7"},
		{"vector: no value at the end", "A=[B=]", "Parse error: syntax error, unexpected CBRACKET, expecting STRING at line 0, columns 6:7"},
		{"vector: trailing comma", "A=[B=1, ]", "Parse error: syntax error, unexpected CBRACKET, expecting VARIABLE at line 0, columns 9:10"},
		{"vector: leading comma", "A=[,B=1]", "Parse error: syntax error, unexpected COMMA, expecting CBRACKET or VARIABLE at line 0, columns 4:5"},
		{"vector: no comma", "A=[B=1 C=2]", "Parse error: syntax error, unexpected VARIABLE, expecting COMMA or CBRACKET at line 0, columns 8:9"},
		{"vector: nested", "A=[B=[C=1]]", "Parse error: syntax error, unexpected OBRACKET, expecting STRING at line 0, columns 6:7"},
		{"vector: name alone", "A=[B]", "Parse error: syntax error, unexpected CBRACKET, expecting EQUAL at line 0, columns 5:6"},
		{"vector: open", "A=[B=1", "Parse error: syntax error, unexpected $end, expecting COMMA or CBRACKET at line 0, columns 6:7"},
		{"vector: open, empty", "A=[", "Parse error: syntax error, unexpected $end, expecting CBRACKET or VARIABLE at line 0, columns 3:4"},
		{"vector: open, comma", "A=[B=1,", "Parse error: syntax error, unexpected $end, expecting VARIABLE at line 0, columns 7:8"},

		{"gate: quotes in quotes", `A="a="b"`, "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 8:9"},
		{"gate: comma", `A="a",b"`, "Parse error: syntax error, unexpected COMMA, expecting $end at line 0, columns 6:7"},
		{"gate: vector", `A=[B="1",C=2"]`, "Parse error: syntax error, unexpected $end, expecting STRING at line 0, columns 12:13"},
		{"gate: spoken", `A="say "hi"`, "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 11:12"},
		{"gate: backslash", `A="back"\slash"`, "Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 15:16"},
		{"gate: lone quote", `A="`, "Parse error: syntax error, unexpected $end, expecting OBRACKET or CCDATA or STRING at line 0, columns 3:4"},

		{"CDATA end in a value", `A="x]]>y"`, "Parse error."},
		{"CDATA end in a bare value", "A=[B=1]]>", "Parse error."},
		{"CDATA end in a comment", "# ]]>\nA=1", "Parse error."},

		{"unknown character", `A="1"; B="2"`, `Parse error: syntax error, unexpected character ";" at line 0, columns 6:7`},
		{"unknown characters only", "{}", `Parse error: syntax error, unexpected character "{" at line 0, columns 1:2`},
		{"unknown rune", "A=1 \u00a0", `Parse error: syntax error, unexpected character "\u00a0" at line 0, columns 5:7`},
		{"hash without line end", "#", `Parse error: syntax error, unexpected character "#" at line 0, columns 1:2`},
		{"control character", "A=1\nB=\"\x01\"", "Parse error: invalid character U+0001 at line 1, columns 8:9"},
		{"NUL", "A=\x00", "Parse error: invalid character U+0000 at line 0, columns 3:4"},
		{"not a character", "A=\uFFFF", "Parse error: invalid character U+FFFF at line 0, columns 3:6"},
		{"not UTF-8", "A=caf\xe9", "Parse error: invalid UTF-8 byte 0xe9 at line 0, columns 6:7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tmpl.ParseText(tt.in)
			if err == nil {
				t.Fatalf("accepted as %s", got.AppendStored(nil))
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			var pe *tmpl.ParseError
			if !errors.As(err, &pe) {
				t.Errorf("error is a %T", err)
			}
			if got != nil {
				t.Error("a template came with the error")
			}
		})
	}
}

// Every prefix and every one-byte change of a template must come to an end
// without a panic, and give a template exactly when it gives no error.
func TestParseTextDamaged(t *testing.T) {
	const text = "A=1 # c\nB = \"q\\\"uo\nted\"\nNIC=[ X=\"1\", Y=a\\\"b ]\nE=\nF=[]\n"
	try := func(s string) {
		got, err := tmpl.ParseText(s)
		if (got == nil) == (err == nil) {
			t.Errorf("%q: template %v, error %v", s, got, err)
		}
	}
	for i := range text {
		try(text[:i])
		for _, c := range "\"\\=#,[] \n;A" {
			try(text[:i] + string(c) + text[i+1:])
			try(text[:i] + string(c) + text[i:])
		}
	}
}

// A template that kept pieces of its input would keep all of it in memory.
func TestParseDoesNotKeepItsInput(t *testing.T) {
	for _, in := range []string{"A=1\nV=[B=2]\n", "<T><A>1</A><V><B>2</B></V></T>"} {
		in = strings.Clone(in)
		got, err := tmpl.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		from := uintptr(unsafe.Pointer(unsafe.StringData(in)))
		for _, s := range []string{got.All()[0].Name, got.Get("A"), got.Vector("V")[0].Name, got.Vector("V").Get("B")} {
			if at := uintptr(unsafe.Pointer(unsafe.StringData(s))); from <= at && at < from+uintptr(len(in)) {
				t.Errorf("%q is a piece of the input %q", s, in)
			}
		}
	}
}
