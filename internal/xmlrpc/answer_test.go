package xmlrpc

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/golden"
)

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if want := golden.Want(t, filepath.Join("testdata", name), string(got)); string(got) != want {
		t.Errorf("%s differs:\n got %q\nwant %q", name, got, want)
	}
}

func TestGolden(t *testing.T) {
	document := AppendCDATA(AppendOpen(nil, "VM"), "NAME", `a & b <c> "d"`)
	document = AppendClose(document, "VM")
	for name, got := range map[string][]byte{
		"success-int.xml":     AppendSuccess(nil, Int(42)),
		"success-string.xml":  AppendSuccess(nil, String("6.8.3")),
		"success-boolean.xml": AppendSuccess(nil, Bool(true)),
		"success-i8.xml":      AppendSuccess(nil, Int64(1<<40)),
		"success-text.xml":    successText(nil, document),
		"failure.xml": AppendFailure(nil, &Failure{
			Message: "[one.vm.info] Error getting virtual machine [5].", Code: 0x0400, ObjectID: 5, ReplicationIndex: -1,
		}),
		"fault.xml": AppendFault(nil, NoSuchMethod("one.x.y")),
		"call.xml": AppendCall(nil, "one.user.allocate", String("u:p"), String("a<b>&\"c'\r\n"), Int(-1), Bool(false), Int64(7), Ints([]int{1, 2}),
			Strings([]string{"x", ""}), structOf("k", Value{})),
	} {
		t.Run(name, func(t *testing.T) { checkGolden(t, name, got) })
	}
}

// The document and the value form of an answer are the same bytes.
func TestSuccessTextIsSuccess(t *testing.T) {
	const s = "<A>\r\n&amp; é\x00</A>"
	if a, b := AppendSuccess(nil, String(s)), successText(nil, []byte(s)); !bytes.Equal(a, b) {
		t.Errorf("%q\n%q", a, b)
	}
}

func TestAppendKeepsWhatIsBefore(t *testing.T) {
	for _, b := range [][]byte{
		AppendSuccess([]byte("before"), Int(1)), successText([]byte("before"), nil), AppendFailure([]byte("before"), &Failure{}),
		AppendFault([]byte("before"), &Fault{}), AppendCall([]byte("before"), "m"),
	} {
		if !bytes.HasPrefix(b, []byte("before<?xml ")) {
			t.Errorf("got %q", b)
		}
	}
}

func TestParseAnswer(t *testing.T) {
	for _, want := range []Value{Int(0), Int(-1), String(""), String("<A>&amp;\r\n\t é 😀]]></A>"), Bool(true), Bool(false), Int64(-1 << 63), Ints([]int{1}), structOf("a", String("b"))} {
		got, err := ParseAnswer(AppendSuccess(nil, want), Limits{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, error %v; want %#v", got, err, want)
		}
	}
	want := &Failure{Message: "[one.vm.info] <&> é", Code: 0x10000, ObjectID: -1, ReplicationIndex: 1 << 40}
	_, err := ParseAnswer(AppendFailure(nil, want), Limits{})
	var failure *Failure
	if !errors.As(err, &failure) || *failure != *want {
		t.Errorf("got %#v, want %#v", err, want)
	}
	_, err = ParseAnswer(AppendFault(nil, NoSuchMethod("<x>")), Limits{})
	var fault *Fault
	if !errors.As(err, &fault) || *fault != (Fault{-506, "Method '<x>' not defined"}) {
		t.Errorf("got %#v", err)
	}
}

// Other servers write the same answers in other ways.
func TestParseForeignAnswers(t *testing.T) {
	wrap := func(data string) string {
		return "<?xml version='1.0'?>\n<methodResponse><params><param><value><array><data>" + data + "</data></array></value></param></params></methodResponse>"
	}
	v, err := ParseAnswer([]byte(wrap("<value><boolean>1</boolean></value><value>bare</value><value><int>0</int></value>")), Limits{})
	if err != nil || v.Text() != "bare" {
		t.Errorf("got %#v, error %v", v, err)
	}
	_, err = ParseAnswer([]byte(wrap("<value><boolean>0</boolean></value><value>no</value><value><int>256</int></value>")), Limits{})
	var f *Failure
	if !errors.As(err, &f) || *f != (Failure{Message: "no", Code: 256, ObjectID: -1, ReplicationIndex: -1}) {
		t.Errorf("got %#v", err)
	}
}

func TestParseAnswerErrors(t *testing.T) {
	const notAnswer = "read XML-RPC answer: expected an array of a boolean, a value and an int code"
	const invalid = "read XML-RPC answer: Response is not valid XML.  "
	wrap := func(value string) string {
		return "<methodResponse><params><param>" + value + "</param></params></methodResponse>"
	}
	data := func(values string) string { return wrap("<value><array><data>" + values + "</data></array></value>") }
	tests := []struct{ name, in, want string }{
		{"a page", "<html><body>502</body></html>", "read XML-RPC answer: XML-RPC response should be a <methodResponse> element.  Instead, we have a <html> element."},
		{"nothing", "", invalid + "unexpected end of the message at byte 0"},
		{"empty", "<methodResponse/>", invalid + "<methodResponse> is empty at byte 17"},
		{"hollow", "<methodResponse></methodResponse>", invalid + "unexpected <methodResponse>, expected <params> or <fault> at byte 33"},
		{"no value", "<methodResponse><params></params></methodResponse>", invalid + "unexpected <params>, expected <param> at byte 33"},
		{"other", "<methodResponse><value></value></methodResponse>", invalid + "unexpected <value>, expected <params> or <fault> at byte 23"},
		{"two", "<methodResponse><params><param><value/></param><param/></params></methodResponse>", invalid + "unexpected <param>, expected </params> at byte 55"},
		{"not an array", wrap("<value>x</value>"), notAnswer},
		{"too short", data("<value><boolean>1</boolean></value><value/>"), notAnswer},
		{"no boolean", data("<value><int>1</int></value><value/><value><int>0</int></value>"), notAnswer},
		{"no code", data("<value><boolean>1</boolean></value><value/><value/>"), notAnswer},
		{"no message", data("<value><boolean>0</boolean></value><value><int>1</int></value><value><int>0</int></value>"), notAnswer},
		{"fault of text", "<methodResponse><fault><value>x</value></fault></methodResponse>", invalid + "<fault> does not hold a faultCode and a faultString at byte 39"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := ParseAnswer([]byte(tt.in), Limits{})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %#v\nerror %v\nwant  %s", v, err, tt.want)
			}
			if errors.As(err, new(*Fault)) || errors.As(err, new(*Failure)) {
				t.Error("an answer that cannot be read must not look like one")
			}
		})
	}
	if _, err := ParseAnswer(AppendSuccess(nil, String(strings.Repeat("x", 1000))), Limits{MaxBytes: 1000}); err == nil || errors.As(err, new(*Fault)) {
		t.Errorf("too big an answer: error %v", err)
	}
}

func TestIntBeyond32Bits(t *testing.T) {
	for _, n := range []int{1 << 31, -1<<31 - 1, 1 << 40} {
		if v := Int(n); v.Kind() != KindInt64 || v.Int64() != int64(n) {
			t.Errorf("Int(%d) = %v %d", n, v.Kind(), v.Int64())
		}
	}
	for _, n := range []int{1<<31 - 1, -1 << 31} {
		if v := Int(n); v.Kind() != KindInt || v.Int64() != int64(n) {
			t.Errorf("Int(%d) = %v %d", n, v.Kind(), v.Int64())
		}
	}
}

// successText is the answer with a document in one piece.
func successText(dst, doc []byte) []byte {
	return AppendTextEnd(AppendEscaped(AppendTextBegin(dst), doc))
}
