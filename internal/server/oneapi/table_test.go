package oneapi_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// referenceMethods are the 297 of the reference's §7.
func referenceMethods(t *testing.T) []string {
	text, err := os.ReadFile("testdata/methods.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	if len(names) != 297 {
		t.Fatalf("%d methods in testdata/methods.txt, expected 297", len(names))
	}
	return names
}

// The table knows each method of the reference once, and no other.
func TestCoverage(t *testing.T) {
	var got []string
	for _, m := range oneapi.Methods() {
		got = append(got, m.Name)
		if m.Right == "" {
			t.Errorf("%s: no right is declared", m.Name)
		}
	}
	// Trifid's own additions.
	got = slices.DeleteFunc(got, func(n string) bool { return n == "one.host.jointoken" })
	if want := referenceMethods(t); !slices.Equal(got, want) {
		for _, n := range want {
			if !slices.Contains(got, n) {
				t.Errorf("%s is not in the table", n)
			}
		}
		for i, n := range got {
			if !slices.Contains(want, n) || i > 0 && got[i-1] == n {
				t.Errorf("%s is no method of the reference, or is there twice", n)
			}
		}
		if !t.Failed() {
			t.Error("the table is not in order")
		}
	}
}

func TestMarkdown(t *testing.T) {
	text := oneapi.Markdown()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2+297+1 { // one method is Trifid's own
		t.Fatalf("%d lines", len(lines))
	}
	for _, want := range []string{
		"| `one.vm.info` | id i, decrypt b=false | USE VM | works |  |",
		"| `one.vm.backup` | id i, datastore i=-1, reset b=false | VMop(backup) + USE DATASTORE | missing |  |",
		"| `one.marketpool.info` |  | – | differs | always empty |",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %s", want)
		}
	}
}

// Nothing can be called without a session, whatever else is wrong with the call.
func TestEveryMethodAuthenticates(t *testing.T) {
	s := newServer(t)
	for _, m := range oneapi.Methods() {
		_, err := s.call(t, "nobody:x", m.Name, "no", true, -1)
		want := xmlrpc.Failure{Message: "[" + m.Name + "] User couldn't be authenticated, aborting call.", Code: 0x100, ObjectID: -1, ReplicationIndex: -1}
		if got := refusal(err); got != want {
			t.Errorf("%s of an unknown user: %v", m.Name, err)
		}
		if _, err := xmlrpc.ParseAnswer(s.post(t, xmlrpc.AppendCall(nil, m.Name)), xmlrpc.Limits{}); faultOf(err).Code != xmlrpc.FaultType {
			t.Errorf("%s without any parameter: %v", m.Name, err)
		}
	}
}

// Parameters are strict in number and type, for each method that is supported;
// the others say that they are not.
func TestEveryMethodIsStrict(t *testing.T) {
	s := newServer(t)
	for _, m := range oneapi.Methods() {
		if m.Support == oneapi.Missing {
			_, err := s.call(t, oneadmin, m.Name)
			want := xmlrpc.Failure{Message: "[" + m.Name + "] not supported yet", Code: 0x800, ObjectID: -1, ReplicationIndex: -1}
			if got := refusal(err); got != want {
				t.Errorf("%s: %v", m.Name, err)
			}
			continue
		}
		var good []any
		for i, p := range strings.Split(m.Params, ",") {
			words := strings.Fields(p)
			if len(words) == 0 {
				break
			}
			typ, _, optional := strings.Cut(words[1], "=")
			if !optional {
				_, err := s.call(t, oneadmin, m.Name, good...)
				if f := faultOf(err); f.Code != xmlrpc.FaultType || f.Message != "Not enough parameters" {
					t.Errorf("%s without parameter %d: %v", m.Name, i+1, err)
				}
			}
			wrong := any("text")
			if typ != "i" && typ != "b" && typ != "I" {
				wrong = 7
			}
			for _, w := range []any{wrong, map[string]any{"i": true, "b": 1}[typ]} {
				if w == nil {
					continue
				}
				_, err := s.call(t, oneadmin, m.Name, append(slices.Clone(good), w)...)
				if f := faultOf(err); f.Code != xmlrpc.FaultType || !strings.HasPrefix(f.Message, "Parameter that is supposed to be ") {
					t.Errorf("%s with %T as parameter %d: %v", m.Name, w, i+1, err)
				}
			}
			// Values that no method does anything with: nothing has such an id.
			good = append(good, map[string]any{"i": -77, "b": false, "s": "", "t": "]]>", "u": "]]>", "I": []int{-77}}[typ])
		}
	}
}

func TestUnknownMethod(t *testing.T) {
	s := newServer(t)
	_, err := s.call(t, oneadmin, "one.no.such")
	var f *xmlrpc.Fault
	if !errors.As(err, &f) || f.Code != -506 || f.Message != "Method 'one.no.such' not defined" {
		t.Error(err)
	}
}
