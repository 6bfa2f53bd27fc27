package xmlrpc

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// callOf wraps the text of parameters' <value> elements into a call.
func callOf(values ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><methodCall><methodName>one.vm.info</methodName><params>`)
	for _, v := range values {
		b.WriteString("<param>" + v + "</param>")
	}
	return b.String() + "</params></methodCall>"
}

func structOf(pairs ...any) Value {
	of := &compound{}
	for i := 0; i < len(pairs); i += 2 {
		of.names = append(of.names, pairs[i].(string))
		of.values = append(of.values, pairs[i+1].(Value))
	}
	return Value{kind: KindStruct, of: of}
}

func array(vs ...Value) Value { return Value{kind: KindArray, of: &compound{values: vs}} }

func TestParseValue(t *testing.T) {
	tests := []struct {
		name, value string
		want        Value
	}{
		{"string", "<value><string>oneadmin:pass</string></value>", String("oneadmin:pass")},
		{"bare", "<value>oneadmin:pass</value>", String("oneadmin:pass")},
		{"bare keeps blanks", "<value> a b\n</value>", String(" a b\n")},
		{"blanks alone", "<value> </value>", String(" ")},
		{"empty forms 1", "<value/>", String("")},
		{"empty forms 2", "<value></value>", String("")},
		{"empty forms 3", "<value><string/></value>", String("")},
		{"empty forms 4", "<value><string></string></value>", String("")},
		{"string keeps blanks", "<value>\n <string> a </string>\n</value>", String(" a ")},
		{"references", "<value>&lt;A&gt;&amp;&quot;&apos;&#65;&#x42;&#xe9;&#128512;&#13;</value>", String("<A>&\"'ABé😀\r")},
		{"a reference is read once", "<value>&amp;lt;</value>", String("&lt;")},
		{"CDATA", "<value><string><![CDATA[<a>&amp;]]></string></value>", String("<a>&amp;")},
		{"CDATA and text", "<value>x<![CDATA[<]]>y<![CDATA[]]>z&amp;</value>", String("x<yz&")},
		{"CDATA with brackets", "<value><![CDATA[]]]]></value>", String("]]")},
		{"end of CDATA in text", "<value>a]]>b</value>", String("a]]>b")},
		{"comment inside text", "<value>a<!-- <x> & -->b</value>", String("ab")},
		{"instruction inside text", "<value>a<?php echo > ?>b</value>", String("ab")},
		{"line ends", "<value>a\r\nb\rc\n\r\nd<![CDATA[\r\r\n]]></value>", String("a\nb\nc\n\nd\n\n")},
		{"UTF-8", "<value>Zoë 云 😀</value>", String("Zoë 云 😀")},
		{"attributes", `<value a="1>2" b='"' ><string  c = ">" >x</string ></value	>`, String("x")},

		{"int", "<value><int>42</int></value>", Int(42)},
		{"i4", "<value><i4>-1</i4></value>", Int(-1)},
		{"int with blanks", "<value> <int> 42\n</int> </value>", Int(42)},
		{"int with sign", "<value><int>+7</int></value>", Int(7)},
		{"smallest int", "<value><int>-2147483648</int></value>", Int(-2147483648)},
		{"i8", "<value><i8>9223372036854775807</i8></value>", Int64(9223372036854775807)},
		{"Apache i8", "<value><ex:i8>5</ex:i8></value>", Int64(5)},
		{"true", "<value><boolean>1</boolean></value>", Bool(true)},
		{"false", "<value><boolean>0</boolean></value>", Bool(false)},
		{"double", "<value><double>-1.5</double></value>", Value{kind: KindDouble, bits: 0xBFF8000000000000}},
		{"nil", "<value><nil/></value>", Value{}},
		{"Apache nil", "<value><ex:nil></ex:nil></value>", Value{}},
		{"base64", "<value><base64>aGVs\n bG8=</base64></value>", Value{kind: KindBase64, text: "hello"}},
		{"time", "<value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>", Value{kind: KindDateTime, text: "19980717T14:08:55"}},

		{"array", "<value><array><data><value><int>1</int></value> <value>a</value></data></array></value>", array(Int(1), String("a"))},
		{"empty array", "<value><array><data></data></array></value>", array()},
		{"empty array, short", "<value><array><data/></array></value>", array()},
		{"empty array, shorter", "<value><array/></value>", array()},
		{"nested array", "<value><array><data><value><array><data><value/></data></array></value></data></array></value>", array(array(String("")))},
		{"struct", "<value><struct><member><name>a&lt;</name><value><int>1</int></value></member>\n<member> <name/> <value>b</value> </member></struct></value>",
			structOf("a<", Int(1), "", String("b"))},
		{"empty struct", "<value><struct/></value>", structOf()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseCall([]byte(callOf(tt.value)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c.Method != "one.vm.info" || len(c.Params) != 1 || !reflect.DeepEqual(c.Params[0], tt.want) {
				t.Errorf("got %q %#v, want one parameter %#v", c.Method, c.Params, tt.want)
			}
		})
	}
}

func TestParseCall(t *testing.T) {
	session := String("u:p")
	tests := []struct {
		name, in, method string
		params           []Value
	}{
		{"no params", "<methodCall><methodName>m</methodName></methodCall>", "m", nil},
		{"empty params", "<methodCall><methodName>m</methodName><params/></methodCall>", "m", nil},
		{"several", callOf("<value>u:p</value>", "<value><int>1</int></value>", "<value><boolean>1</boolean></value>"), "one.vm.info",
			[]Value{session, Int(1), Bool(true)}},
		{"laid out", "\n<?xml version='1.0'?>\n<!-- c -->\n<methodCall>\n <methodName> m </methodName>\n <params>\n  <param>\n   <value>u:p</value>\n  </param>\n </params>\n</methodCall>\n<!-- d --><?x?>\n",
			"m", []Value{session}},
		{"carriage returns", "<?xml version=\"1.0\"?>\r\n<methodCall>\r\n<methodName>m</methodName>\r\n<params>\r\n<param><value>u:p</value></param>\r\n</params>\r\n</methodCall>\r\n",
			"m", []Value{session}},
		{"byte order mark", "\uFEFF<methodCall><methodName>m</methodName></methodCall>", "m", nil},
		{"UTF-8", `<?xml version="1.0" encoding="utf-8" standalone='yes'?><methodCall><methodName>é</methodName></methodCall>`, "é", nil},
		{"ASCII in another encoding", `<?xml version="1.0" encoding='ISO-8859-1'?><methodCall><methodName>m</methodName></methodCall>`, "m", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseCall([]byte(tt.in), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c.Method != tt.method || len(c.Params) != len(tt.params) || len(c.Params) > 0 && !reflect.DeepEqual(c.Params, tt.params) {
				t.Errorf("got %q %#v, want %q %#v", c.Method, c.Params, tt.method, tt.params)
			}
		})
	}
}

func TestParseCallFaults(t *testing.T) {
	const invalid = "Call is not valid XML.  "
	head := "<methodCall><methodName>m</methodName><params><param>" // 53 bytes
	tests := []struct {
		name, in string
		code     int
		message  string
	}{
		{"nothing", "", FaultParse, invalid + "unexpected end of the message at byte 0"},
		{"text", "hello", FaultParse, invalid + "unexpected text at byte 0"},
		{"open bracket", "<", FaultParse, invalid + "tag without a name at byte 0"},
		{"other root", "<html></html>", FaultParse, "XML-RPC call should be a <methodCall> element.  Instead, we have a <html> element."},
		{"answer", "<methodResponse/>", FaultParse, "XML-RPC call should be a <methodCall> element.  Instead, we have a <methodResponse> element."},
		{"empty call", "<methodCall/>", FaultParse, invalid + "<methodCall> has no <methodName> at byte 13"},
		{"no name", "<methodCall><params/></methodCall>", FaultParse, invalid + "unexpected <params>, expected <methodName> at byte 21"},
		{"blank name", "<methodCall><methodName> </methodName></methodCall>", FaultParse, invalid + "<methodName> has 0 bytes, expected 1 to 256 at byte 25"},
		{"long name", "<methodCall><methodName>" + strings.Repeat("x", 257), FaultParse, invalid + "unexpected end of the message at byte 24"},
		{"very long name", "<methodCall><methodName>" + strings.Repeat("x", 257) + "</methodName></methodCall>", FaultParse, invalid + "<methodName> has 257 bytes, expected 1 to 256 at byte 281"},
		{"unknown type", head + "<value><float>1</float></value>", FaultParse, "Unknown value type -- XML element is named <float>"},
		{"text beside a type", head + "<value>x<int>1</int></value>", FaultParse, invalid + "text beside the <int> of a value at byte 61"},
		{"two types", head + "<value><int>1</int><int>1</int></value>", FaultParse, invalid + "unexpected <int>, expected </value> at byte 77"},
		{"element in a string", head + "<value><string><b>x</b></string></value>", FaultParse, invalid + "unexpected <b>, expected </string> at byte 71"},
		{"int of text", head + "<value><int>one</int></value>", FaultParse, invalid + `<int> holds "one", expected an integer of 32 bits at byte 68`},
		{"empty int", head + "<value><int/></value>", FaultParse, invalid + `<int> holds "", expected an integer of 32 bits at byte 66`},
		{"big int", head + "<value><i4>2147483648</i4></value>", FaultParse, invalid + `<i4> holds "2147483648", expected an integer of 32 bits at byte 74`},
		{"big i8", head + "<value><i8>9223372036854775808</i8></value>", FaultParse, invalid + `<i8> holds "9223372036854775808", expected an integer of 64 bits at byte 83`},
		{"boolean of text", head + "<value><boolean>true</boolean></value>", FaultParse, invalid + `<boolean> holds "true", expected 0 or 1 at byte 73`},
		{"double of text", head + "<value><double>NaN</double></value>", FaultParse, invalid + `<double> holds "NaN", expected a number at byte 71`},
		{"base64 of text", head + "<value><base64>!</base64></value>", FaultParse, invalid + `<base64> holds "!", expected base64 at byte 69`},
		{"nil of text", head + "<value><nil>x</nil></value>", FaultParse, invalid + `<nil> holds "x", expected nothing at byte 66`},
		{"no value", head + "</param></params></methodCall>", FaultParse, invalid + "unexpected <param>, expected <value> at byte 61"},
		{"two values", head + "<value/><value/></param></params></methodCall>", FaultParse, invalid + "unexpected <value>, expected </param> at byte 69"},
		{"open value", head + "<value>", FaultParse, invalid + "unexpected end of the message at byte 60"},
		{"crossed", head + "<value><string></value></string>", FaultParse, invalid + "unexpected <value>, expected </string> at byte 76"},
		{"open call", "<methodCall><methodName>m</methodName>", FaultParse, invalid + "unexpected end of the message at byte 38"},
		{"after the call", "<methodCall><methodName>m</methodName></methodCall>x", FaultParse, invalid + "unexpected content behind </methodCall> at byte 51"},
		{"text between", "<methodCall>x<methodName>m</methodName></methodCall>", FaultParse, invalid + "unexpected text at byte 12"},
		{"bad params", "<methodCall><methodName>m</methodName><value/></methodCall>", FaultParse, invalid + "unexpected <value>, expected <params> at byte 46"},
		{"bad param", "<methodCall><methodName>m</methodName><params><value/></params></methodCall>", FaultParse, invalid + "unexpected <value>, expected <param> at byte 54"},
		{"bad array", head + "<value><array><value/></array></value>", FaultParse, invalid + "unexpected <value>, expected <data> at byte 75"},
		{"bad data", head + "<value><array><data><int>1</int></data></array></value>", FaultParse, invalid + "unexpected <int>, expected <value> at byte 78"},
		{"bad struct", head + "<value><struct><value/></struct></value>", FaultParse, invalid + "unexpected <value>, expected <member> at byte 76"},
		{"bad member", head + "<value><struct><member><value/></member></struct></value>", FaultParse, invalid + "unexpected <value>, expected <name> at byte 84"},
		{"unknown reference", head + "<value>&nbsp;</value>", FaultParse, invalid + `unknown reference "&nbsp;" in the text before at byte 66`},
		{"open reference", head + "<value>a & b</value>", FaultParse, invalid + "reference is not closed in the text before at byte 65"},
		{"far reference", head + "<value>&" + strings.Repeat("a", 20) + ";</value>", FaultParse, invalid + "reference is not closed in the text before at byte 82"},
		{"reference to nothing", head + "<value>&#0;</value>", FaultParse, invalid + `unknown reference "&#0;" in the text before at byte 64`},
		{"reference to a surrogate", head + "<value>&#xD800;</value>", FaultParse, invalid + `unknown reference "&#xD800;" in the text before at byte 68`},
		{"reference too far", head + "<value>&#x110000;</value>", FaultParse, invalid + `unknown reference "&#x110000;" in the text before at byte 70`},
		{"reference to a non-character", head + "<value>&#xFFFE;</value>", FaultParse, invalid + `unknown reference "&#xFFFE;" in the text before at byte 68`},
		{"open comment", "<!-- <methodCall>", FaultParse, invalid + "comment is not closed at byte 4"},
		{"open instruction", "<?x <methodCall>", FaultParse, invalid + "processing instruction is not closed at byte 0"},
		{"open declaration", "<?xml ", FaultParse, invalid + "XML declaration is not closed at byte 0"},
		{"open CDATA", head + "<value><![CDATA[x]]</value>", FaultParse, invalid + "CDATA section is not closed at byte 60"},
		{"open tag", "<methodCall", FaultParse, invalid + "tag is not closed at byte 0"},
		{"open attribute", `<methodCall a="></methodCall>`, FaultParse, invalid + "tag is not closed at byte 0"},
		{"tag in a tag", "<methodCall <a>", FaultParse, invalid + "unexpected '<' in a tag at byte 12"},
		{"end tag with attribute", "<methodCall><methodName>m</methodName a='1'></methodCall>", FaultParse, invalid + "unexpected 'a' in a tag at byte 38"},
		{"document type", `<!DOCTYPE x [<!ENTITY a "b">]><methodCall/>`, FaultParse, invalid + "document type declarations and marked sections are not allowed here at byte 0"},
		{"document type in text", head + `<value>a<!DOCTYPE x></value>`, FaultParse, invalid + "document type declarations and marked sections are not allowed here at byte 61"},
		{"CDATA between elements", "<methodCall><![CDATA[ ]]><methodName>", FaultParse, invalid + "document type declarations and marked sections are not allowed here at byte 12"},
		{"control character", head + "<value>a\x01</value>", FaultParse, invalid + "control character 0x01 is not allowed at byte 61"},
		{"NUL", "<\x00", FaultParse, invalid + "control character 0x00 is not allowed at byte 1"},
		{"other encoding", `<?xml version="1.0" encoding="ISO-8859-1"?><methodCall><methodName>é</methodName></methodCall>`, FaultParse, invalid + `encoding "ISO-8859-1" is not supported, expected UTF-8 at byte 43`},
		{"unquoted encoding", `<?xml version="1.0" encoding=UTF-8?><methodCall/>`, FaultParse, invalid + `encoding of the XML declaration is not quoted at byte 36`},
		{"Latin 1", head + "<value>Zo\xeb</value>", FaultUTF8, "Call is not valid UTF-8.  Invalid byte sequence at byte 62"},
		{"cut UTF-8", "<methodCall>\xe4\xba", FaultUTF8, "Call is not valid UTF-8.  Invalid byte sequence at byte 12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseCall([]byte(tt.in), Limits{})
			var f *Fault
			if !errors.As(err, &f) {
				t.Fatalf("got %+v, error %v; want a fault", c, err)
			}
			if f.Code != tt.code || f.Message != tt.message {
				t.Errorf("got  %d %s\nwant %d %s", f.Code, f.Message, tt.code, tt.message)
			}
		})
	}
}

func TestParseCallLimits(t *testing.T) {
	nest := func(n int) string {
		return callOf(strings.Repeat("<value><array><data>", n) + strings.Repeat("</data></array></value>", n))
	}
	many := func(n int) string {
		return callOf("<value><array><data>" + strings.Repeat("<value/>", n-1) + "</data></array></value>")
	}
	size := len(callOf("<value>x</value>"))
	tests := []struct {
		name, in string
		limits   Limits
		message  string // "" if it is within the limits
	}{
		{"size", callOf("<value>x</value>"), Limits{MaxBytes: size}, ""},
		{"size", callOf("<value>x</value>"), Limits{MaxBytes: size - 1}, fmt.Sprintf("XML-RPC request too large.  Max allowed is %d bytes", size-1)},
		{"depth", nest(3), Limits{MaxDepth: 3}, ""},
		{"depth", nest(4), Limits{MaxDepth: 3}, "Nested data structure too deep."},
		{"default depth", nest(64), Limits{}, ""},
		{"default depth", nest(65), Limits{}, "Nested data structure too deep."},
		{"depth of structs", callOf(strings.Repeat("<value><struct><member><name>a</name>", 65)), Limits{}, "Nested data structure too deep."},
		{"values", many(10), Limits{MaxValues: 10}, ""},
		{"values", many(11), Limits{MaxValues: 10}, "XML-RPC message has too many values.  Max allowed is 10"},
		{"default values", many(65537), Limits{}, "XML-RPC message has too many values.  Max allowed is 65536"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseCall([]byte(tt.in), tt.limits)
			if tt.message == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var f *Fault
			if !errors.As(err, &f) || f.Code != FaultLimit || f.Message != tt.message {
				t.Errorf("got %v, want fault %d: %s", err, FaultLimit, tt.message)
			}
		})
	}
}

// What is parsed must not change with the buffer, which the server uses again.
func TestParseCallRetainsNothing(t *testing.T) {
	in := callOf("<value>plain</value>", "<value>a&amp;b</value>", "<value><struct><member><name>n</name><value>v</value></member></struct></value>",
		"<value><base64>aGVsbG8=</base64></value>", "<value><dateTime.iso8601>T</dateTime.iso8601></value>")
	b := []byte(in)
	c, err := ParseCall(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = '#'
	}
	want, err := ParseCall([]byte(in), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("the call changed with its buffer: %+v", c)
	}
}

func TestReadMessage(t *testing.T) {
	limits := Limits{MaxBytes: 1000}
	for _, n := range []int{0, 1, 511, 512, 999, 1000} {
		b, err := ReadMessage([]byte("before"), strings.NewReader(strings.Repeat("x", n)), limits)
		if err != nil || string(b) != "before"+strings.Repeat("x", n) {
			t.Errorf("%d bytes: got %d, error %v", n, len(b), err)
		}
	}
	r := strings.NewReader(strings.Repeat("x", 5000))
	_, err := ReadMessage(nil, r, limits)
	var f *Fault
	if !errors.As(err, &f) || f.Code != FaultLimit {
		t.Errorf("5000 bytes: error %v, want fault %d", err, FaultLimit)
	}
	if r.Len() != 3999 {
		t.Errorf("read %d bytes beyond the limit", 4000-r.Len())
	}
	broken := errors.New("broken")
	if _, err := ReadMessage(nil, &failingReader{broken}, limits); !errors.Is(err, broken) || errors.As(err, &f) && f.Code == 0 {
		t.Errorf("error %v, want %v", err, broken)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }
