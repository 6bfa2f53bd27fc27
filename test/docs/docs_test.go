// Package docs keeps the documents true: links and anchors lead somewhere, files, functions, make targets and commands that
// are named exist, every setting and every method has its row, and the generated parts are what the program says today.
//
// "make gen" (go generate) writes the generated parts anew.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestLinks(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		for _, l := range p.links {
			if strings.Contains(l.text, ":") { // elsewhere
				continue
			}
			file, part, _ := strings.Cut(l.text, "#")
			target := p.name
			if file != "" {
				target = path.Join(path.Dir(p.name), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s:%d links to %s, which does not exist", p.name, l.line, l.text)
				continue
			}
			if other, ok := all[target]; part != "" && (!ok || !other.anchors[part]) {
				t.Errorf("%s:%d links to %s, which has no such heading", p.name, l.line, l.text)
			}
		}
	}
}

// Paths of the repository in code spans: `internal/cloud`, `test/*/`, `internal/cloud/vm.go:VMAction`.
var repoPath = regexp.MustCompile(`^((?:\.ci|bench|cmd|docs|internal|proto|scripts|test)(?:/[\w.*-]+)+/?|[A-Z]+\.md|Makefile|go\.mod)(?::([\w.]+))?$`)

// Every file a document names exists, and has the function or type that is named with it.
func TestNamedFiles(t *testing.T) {
	count := 0
	for _, p := range pages(t) {
		for _, s := range append(p.spans, p.drawn...) {
			m := repoPath.FindStringSubmatch(s.text)
			if m == nil {
				continue
			}
			count++
			found, err := filepath.Glob(filepath.Join(root, m[1]))
			if err != nil || len(found) == 0 {
				if _, err := os.Stat(filepath.Join(root, path.Dir(p.name), m[1])); err == nil {
					continue // relative to a DESIGN.md
				}
				t.Errorf("%s:%d names %s, which does not exist", p.name, s.line, m[1])
				continue
			}
			if m[2] != "" && !declares(t, found[0], m[2]) {
				t.Errorf("%s:%d names %s, which is not declared in %s", p.name, s.line, m[2], m[1])
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d files are named: the check no longer sees them", count)
	}
}

// declares tells whether a Go file declares a function, method or type of the name; Type.Method names a method exactly.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	typ, method, isMethod := strings.Cut(name, ".")
	for _, d := range syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !isMethod && d.Name.Name == name || isMethod && d.Name.Name == method && receiver(d) == typ {
				return true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return true
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

var (
	makeTarget = regexp.MustCompile(`^([a-z][a-z0-9-]*):(?:$|[^=])`)
	makeUse    = regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`)
)

// Every make target that a document names exists.
func TestMakeTargets(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		if m := makeTarget.FindStringSubmatch(line); m != nil {
			targets[m[1]] = true
		}
	}
	used := 0
	for _, p := range pages(t) {
		for _, s := range append(p.spans, p.shell...) {
			for _, m := range makeUse.FindAllStringSubmatch(s.text, -1) {
				used++
				if !targets[m[1]] {
					t.Errorf("%s:%d: there is no make target %s", p.name, s.line, m[1])
				}
			}
		}
	}
	if used == 0 {
		t.Error("no make target is named anywhere: the check no longer sees them")
	}
}
