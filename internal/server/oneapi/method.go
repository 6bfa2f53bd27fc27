package oneapi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// maxParams bounds the parameters of a method, the session included: chmod of a
// template has twelve.
const maxParams = 12

// method is one row of the table.
type method struct {
	name   string
	spec   string                      // parameters behind the session, as Method.Params has them
	right  string                      // as the reference words it
	note   string                      // what differs from the reference, or what is meant by it
	run    func(*call) (answer, error) // nil: not supported yet
	params []param
	writes bool
}

// param is a declared parameter.
type param struct {
	kind   byte // s, i, b, I (array of ints), t (template), u (template of an update)
	absent *arg // what stands for a missing one; nil: it must be given
}

// get and set are rows of the table: a method that only reads, and one that may
// change something, which a disabled zone refuses.
func get(name, spec, right string, run func(*call) (answer, error)) method {
	return method{name: name, spec: spec, right: right, run: run}
}

func set(name, spec, right string, run func(*call) (answer, error)) method {
	return method{name: name, spec: spec, right: right, run: run, writes: true}
}

// missing is a row of a method that is not supported yet.
func missing(name, spec, right string) method { return method{name: name, spec: spec, right: right} }

// but returns the row with a note of what differs.
func (m method) but(note string) method {
	m.note = note
	return m
}

// parseSpec reads "id i, template t, append i=0". It panics on a spec that is
// none, which is a programming error that any test of the table finds.
func parseSpec(spec string) []param {
	if spec == "" {
		return nil
	}
	var out []param
	for s := range strings.SplitSeq(spec, ",") {
		words := strings.Fields(s)
		if len(words) != 2 {
			panic("oneapi: parameter " + strconv.Quote(s) + ": expected a name and a type")
		}
		typ, absent, optional := strings.Cut(words[1], "=")
		p := param{kind: typ[0]}
		if len(typ) != 1 || !strings.Contains("sibItu", typ) {
			panic("oneapi: parameter " + strconv.Quote(s) + ": expected a type of s, i, b, I, t, u")
		}
		if optional {
			p.absent = &arg{text: absent}
			if n, err := strconv.Atoi(absent); err == nil {
				p.absent.n = int64(n)
			}
			if absent == "true" {
				p.absent.n = 1
			}
		}
		out = append(out, p)
	}
	if len(out) >= maxParams {
		panic(fmt.Sprintf("oneapi: %d parameters, expected fewer than %d", len(out), maxParams))
	}
	return out
}

// read reads the parameters strictly; surplus ones are ignored. A template that
// cannot be parsed is the method's failure, the rest are faults.
// Source: XML-RPC reference §1.
func (m *method) read(args *xmlrpc.Args, into *[maxParams]arg) error {
	for i, p := range m.params {
		i++ // the session is parameter 0
		if p.absent != nil && !args.Has(i) {
			into[i] = *p.absent
			continue
		}
		switch p.kind {
		case 's', 't', 'u':
			into[i].text = args.Text(i)
		case 'i':
			into[i].n = int64(args.Int(i))
		case 'b':
			if args.Bool(i) {
				into[i].n = 1
			}
		case 'I':
			into[i].list = args.Ints(i)
		}
	}
	if err := args.Err(); err != nil {
		return err
	}
	for i, p := range m.params {
		if p.kind != 't' && p.kind != 'u' {
			continue
		}
		a := &into[i+1]
		t, err := tmpl.Parse(a.text)
		if err != nil {
			refusal := errs.Wrap(errs.Internal, err)
			if p.kind == 'u' {
				refusal.Msg = "Cannot update template. " + refusal.Msg
			}
			return refusal
		}
		a.template = t
	}
	return nil
}

// Support tells how far a method does what the reference says.
type Support string

// Levels of support.
const (
	Works   Support = "works"
	Differs Support = "differs"
	Missing Support = "missing"
)

// Method describes a method for documentation.
type Method struct {
	Name string
	// Params are the parameters behind the session: name, type (s string, i int, b
	// boolean, I array of ints, t and u string that is a template) and default.
	Params  string
	Right   string
	Support Support
	Note    string
}

// Methods returns all methods, ascending by name.
func Methods() []Method {
	var out []Method
	for _, m := range table() {
		d := Method{Name: m.name, Params: m.spec, Right: m.right, Support: Works, Note: m.note}
		switch {
		case m.run == nil:
			d.Support = Missing
		case m.note != "":
			d.Support = Differs
		}
		out = append(out, d)
	}
	return out
}

// Markdown returns the table of methods as documentation.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Method | Parameters | Right | Support | Note |\n|---|---|---|---|---|\n")
	for _, m := range Methods() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, cell(m.Params), cell(m.Right), m.Support, cell(m.Note))
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
