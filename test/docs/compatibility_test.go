package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
)

const compatibility = "docs/compatibility.md"

// Every route and action of the gate, and every command, has a row that says how far it goes.
func TestCompatibilityRows(t *testing.T) {
	p := one(t, compatibility)
	var routes, permissions []string
	for _, r := range gateapi.Routes() {
		routes = append(routes, r.Method+" "+r.Path)
		permissions = append(permissions, strings.Trim(strings.Replace(r.Permission, "/", ": ", 1), ": "))
	}
	for i, cells := range rowsUnder(t, p, "OneGate", routes) {
		if cells != nil && cells[1] != permissions[i] {
			t.Errorf("%s: the permission of %s is %q, not %q", compatibility, routes[i], permissions[i], cells[1])
		}
		checkSupport(t, cells, 2)
	}

	for _, cells := range rowsUnder(t, p, "VM actions", gateActions(t)) {
		checkSupport(t, cells, 1)
	}

	documented := one(t, "docs/commands.md")
	var commands []string
	for _, r := range documented.rows {
		if name, _, ok := strings.Cut(strings.TrimPrefix(r.cells[0], "["), "]"); ok && name != "`trifid`" {
			commands = append(commands, strings.Trim(name, "`"))
		}
	}
	// What the reference has and we do not is listed too.
	for _, r := range p.rows {
		if name := strings.Trim(r.cells[0], "`"); r.under == "The commands" && len(r.cells) > 2 && r.cells[1] == "missing" && !slices.Contains(commands, name) {
			commands = append(commands, name)
		}
	}
	commands = append(commands, "onegate")
	for _, cells := range rowsUnder(t, p, "The commands", commands) {
		checkSupport(t, cells, 1)
	}
}

// What the page says is not there yet is what the table of methods says is missing, neither more nor less.
func TestMissingMethods(t *testing.T) {
	support := map[string]oneapi.Support{}
	for _, m := range oneapi.Methods() {
		support[m.Name] = m.Support
	}
	_, section, _ := strings.Cut(one(t, compatibility).text, "## What is not there yet")
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]bool{}
	for _, m := range codeSpan.FindAllStringSubmatch(section, -1) {
		pattern := m[1]
		if !strings.HasPrefix(pattern, "one.") {
			continue
		}
		prefix, wild := strings.CutSuffix(pattern, "*")
		found := false
		for name, s := range support {
			if name == pattern || wild && strings.HasPrefix(name, prefix) {
				// A pattern may cover what is there, a name may not.
				if s == oneapi.Missing {
					told[name], found = true, true
				} else if !wild {
					t.Errorf("%s: %s is said to be missing, but it %s", compatibility, name, s)
				}
			}
		}
		if !found {
			t.Errorf("%s: %s is said to be missing, but nothing of that name is", compatibility, pattern)
		}
	}
	for name, s := range support {
		if s == oneapi.Missing && !told[name] {
			t.Errorf("%s: %s is missing and not mentioned", compatibility, name)
		}
	}
}

// rowsUnder returns the rows below a heading for the names, in their order; each must be there once, and no other. A row
// that is not there is nil.
func rowsUnder(t *testing.T, p page, under string, names []string) [][]string {
	t.Helper()
	out := make([][]string, len(names))
	for _, r := range p.rows {
		name := strings.Trim(r.cells[0], "`")
		if r.under != under || name == r.cells[0] {
			continue
		}
		i := slices.Index(names, name)
		switch {
		case i < 0:
			t.Errorf("%s:%d: there is no %s", p.name, r.line, name)
		case out[i] != nil:
			t.Errorf("%s:%d: a second row for %s", p.name, r.line, name)
		default:
			out[i] = r.cells
		}
	}
	for i, cells := range out {
		if cells == nil {
			t.Errorf("%s: no row for %s under %q", p.name, names[i], under)
		}
	}
	return out
}

// checkSupport checks the cell that says how far something goes: what differs or is partly there needs a note.
func checkSupport(t *testing.T, cells []string, at int) {
	t.Helper()
	if cells == nil { // told already
		return
	}
	if len(cells) != at+2 || !slices.Contains([]string{"works", "differs", "missing"}, cells[at]) {
		t.Errorf("%s: the row of %s needs works, differs or missing, and a note", compatibility, cells[0])
		return
	}
	if cells[at] == "differs" && cells[at+1] == "" {
		t.Errorf("%s: the row of %s does not say what differs", compatibility, cells[0])
	}
}

// gateActions reads the names of the gate's table of actions from the source.
func gateActions(t *testing.T) []string {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/gate/action.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(syntax, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "actions" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			key, ok := e.(*ast.KeyValueExpr).Key.(*ast.BasicLit)
			if !ok {
				continue
			}
			name, err := strconv.Unquote(key.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return false
	})
	if len(names) < 10 {
		t.Fatalf("only %d actions found in internal/gate/action.go", len(names))
	}
	return names
}
