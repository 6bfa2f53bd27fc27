package arch

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root     = "../.."
	maxLines = 700 // of a file that people write and that is not a test
)

func tree(t *testing.T) []sourceFile {
	t.Helper()
	files, err := parseTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d Go files: this is not the project's tree", len(files))
	}
	return files
}

func TestImports(t *testing.T) {
	for _, file := range tree(t) {
		if file.isTest() {
			continue
		}
		for _, rule := range importRules {
			for _, fault := range rule.breaks(file) {
				t.Error(fault)
			}
		}
	}
}

// A rule about a package that has been renamed would hold for ever.
func TestRulesNamePackages(t *testing.T) {
	planned := []string{"internal/demo"}
	for _, rule := range importRules {
		for _, dir := range slices.Concat([]string{rule.from}, rule.except, rule.ban, rule.only) {
			if !isOurs(dir) || slices.Contains(planned, dir) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
				t.Errorf("an import rule names %s: %v", dir, err)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, file := range tree(t) {
		if !file.isGenerated() {
			documented[file.dir] = documented[file.dir] || file.syntax.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment that says what it holds and promises", dir)
		}
	}
}

func TestNames(t *testing.T) {
	banned := []string{"util", "utils", "common", "helper", "helpers", "model", "models", "misc"}
	for _, file := range tree(t) {
		base := strings.TrimSuffix(strings.TrimSuffix(path.Base(file.path), ".go"), "_test")
		for _, name := range []string{base, path.Base(file.dir)} {
			if slices.Contains(banned, name) {
				t.Errorf("%s: name packages and files for what they hold, not %q", file.path, name)
			}
		}
	}
}

func TestFileSize(t *testing.T) {
	for _, file := range tree(t) {
		if file.lines > maxLines && !file.isTest() && !file.isGenerated() {
			t.Errorf("%s has %d lines, at most %d: split it by subject", file.path, file.lines, maxLines)
		}
	}
}

// A test that sleeps is slow where the machine is fast and fails where it is slow: wait for the event itself. In a bubble
// of testing/synctest time is virtual, and sleeping is how it passes.
func TestNoSleepInTests(t *testing.T) {
	for _, file := range tree(t) {
		if !file.isTest() {
			continue
		}
		for _, position := range sleeps(file) {
			t.Errorf("%s: time.Sleep in a test: wait for the event itself, with a deadline only as failure", position)
		}
	}
}

// sleeps returns where a file uses time.Sleep outside the calls of synctest.Test, and of the file's own functions which
// call that.
func sleeps(file sourceFile) []string {
	bubbles := map[string]bool{}
	for _, decl := range file.syntax.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && !f.Name.IsExported() && opensBubble(f) {
			bubbles[f.Name.Name] = true
		}
	}
	var found []string
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok {
			if own, ok := call.Fun.(*ast.Ident); names(call.Fun, "synctest", "Test") || ok && bubbles[own.Name] {
				return false
			}
		}
		if expr, ok := node.(ast.Expr); ok && names(expr, "time", "Sleep") {
			found = append(found, file.fset.Position(node.Pos()).String())
		}
		return true
	})
	return found
}

// opensBubble reports whether a function calls synctest.Test.
func opensBubble(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		found = found || ok && names(call.Fun, "synctest", "Test")
		return !found
	})
	return found
}

// names reports whether an expression is pkg.name.
func names(expr ast.Expr, pkg, name string) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	ident, ok := selector.X.(*ast.Ident)
	return ok && ident.Name == pkg
}

// What works at one place of one machine only is not part of the project.
func TestNoMachinePaths(t *testing.T) {
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	pattern := machinePaths(here)
	err = walk(root, func(name string) error {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 { // not a text
			return nil
		}
		for number, line := range bytes.Split(text, []byte("\n")) {
			if found := pattern.FindSubmatch(line); found != nil {
				t.Errorf("%s:%d names a place of one machine: %s", name, number+1, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// machinePaths matches absolute paths into this checkout and into places that only a developer's machine has.
func machinePaths(checkout string) *regexp.Regexp {
	slash := "/" // so that this file does not match itself
	places := []string{checkout, slash + "work", slash + "Users"}
	for i, place := range places {
		places[i] = regexp.QuoteMeta(place)
	}
	return regexp.MustCompile(`(?:^|[^\w./~})$-])((?:` + strings.Join(places, "|") + `)/[\w.-]+)`)
}

// A link in a document leads to a file that exists. Links to elsewhere are not followed.
func TestDocumentLinks(t *testing.T) {
	err := walk(root, func(name string) error {
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, link := range localLinks(string(text)) {
			target := filepath.Join(root, path.Dir(name), link)
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, link)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

// localLinks returns the files that a Markdown text links to, as relative paths.
func localLinks(text string) []string {
	var links []string
	for _, match := range markdownLink.FindAllStringSubmatch(text, -1) {
		if link := match[1]; !strings.Contains(link, ":") {
			links = append(links, link)
		}
	}
	return links
}

// The rules themselves: each must find what it is for.
func TestRulesBite(t *testing.T) {
	parse := func(name, text string) sourceFile {
		t.Helper()
		file, err := parseFile(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, c := range []struct {
		name, path string
		want       int
	}{
		{"internal/one/a.go", "fmt", 0},
		{"internal/one/a.go", module + "/internal/tmpl", 0},
		{"internal/one/a.go", module + "/internal/store", 1},
		{"internal/one/a.go", "golang.org/x/sys/unix", 1},
		{"internal/cloud/a.go", module + "/internal/server/oneapi", 1},
		{"internal/cloud/a.go", module + "/internal/store", 0},
		{"internal/cloudy/a.go", module + "/internal/server/oneapi", 0},
		{"internal/hypervisor/libvirt/a.go", module + "/internal/cloud", 1},
		{"internal/agentapi/a.go", module + "/internal/store", 0},
		{"internal/server/gateapi/a.go", module + "/internal/store", 1},
		{"internal/flow/a.go", module + "/internal/sandbox", 1},
		{"cmd/trifid/a.go", module + "/internal/sandbox", 0},
		{"cmd/onegate/a.go", module + "/cmd/onegate/wire", 0},
		{"cmd/onegate/a.go", module + "/internal/one", 1},
		{"internal/client/a.go", "github.com/OpenNebula/one/src/oca/go/src/goca", 1},
	} {
		file := parse(c.name, "package a\nimport _ \""+c.path+"\"\n")
		got := 0
		for _, rule := range importRules {
			got += len(rule.breaks(file))
		}
		if got != c.want {
			t.Errorf("%s importing %s breaks %d rules, want %d", c.name, c.path, got, c.want)
		}
	}

	sleeper := parse("a_test.go", "package a\nimport (\"time\"; \"testing/synctest\")\n"+
		"func f() { time.Sleep(1); time.Now(); synctest.Test(nil, func() { time.Sleep(1) }) }\n")
	if got := sleeps(sleeper); len(got) != 1 || !sleeper.isTest() {
		t.Errorf("sleeps found: %v", got)
	}
	links := localLinks("[a](b.md) ![c](d/e.png#part \"title\") [f](https://example.org/g) [h](#part) [i](mailto:j@k)")
	if !slices.Equal(links, []string{"b.md", "d/e.png"}) {
		t.Errorf("local links found: %v", links)
	}
	pattern := machinePaths("/srv/checkout")
	for line, want := range map[string]bool{
		`x := "/srv/checkout/main.go"`:      true,
		`see /` + `work/notes`:              true,
		`https://example.org/` + `work/x`:   false,
		`../` + `work/x`:                    false,
		`$ROOT/srv/checkout/main.go`:        false,
		`"/srv/checkout2/main.go"`:          false,
		`the directory "/` + `work"`:        false,
		`TRIFID_SPEC=/` + `work/thing/spec`: true,
	} {
		if got := pattern.MatchString(line); got != want {
			t.Errorf("%q names a machine's place: %t, want %t", line, got, want)
		}
	}
}
