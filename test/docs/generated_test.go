package docs

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/server/oneapi"
)

//go:generate go test -count=1 -run ^TestGenerated$ . -update

var update = flag.Bool("update", false, "write the generated parts of the documents anew")

// commandPages is where the reference pages of the commands are.
const commandPages = "docs/commands"

// TestGenerated holds the generated documents to what the program says: a page for each command, and the blocks between
// "<!-- generated: NAME -->" and "<!-- end -->".
func TestGenerated(t *testing.T) {
	fresh := writeCommandPages(t)
	if *update {
		replacePages(t, fresh)
	}
	comparePages(t, fresh)

	index := commandIndex(t, fresh)
	for _, b := range []struct{ file, name, want string }{
		{"docs/commands.md", "commands", index},
		{"docs/compatibility.md", "xmlrpc-counts", methodCounts(t)},
		{"docs/compatibility.md", "xmlrpc", oneapi.Markdown()},
	} {
		if err := checkBlock(filepath.Join(root, b.file), b.name, b.want); err != nil {
			t.Errorf("%s: %v", b.file, err)
		}
	}
}

// writeCommandPages lets the program write its pages and returns the directory.
func writeCommandPages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "run", "../../cmd/trifid", "docs", "markdown", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("trifid docs markdown: %v\n%s", err, out)
	}
	return dir
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func replacePages(t *testing.T, fresh string) {
	t.Helper()
	dir := filepath.Join(root, commandPages)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range fileNames(t, fresh) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(read(t, filepath.Join(fresh, name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func comparePages(t *testing.T, fresh string) {
	t.Helper()
	dir := filepath.Join(root, commandPages)
	want, got := fileNames(t, fresh), fileNames(t, dir)
	if !slices.Equal(want, got) {
		t.Fatalf("%s holds %v, expected %v; run 'make gen'", commandPages, got, want)
	}
	for _, name := range want {
		if read(t, filepath.Join(fresh, name)) != read(t, filepath.Join(dir, name)) {
			t.Errorf("%s/%s is not what the program says today; run 'make gen'", commandPages, name)
		}
	}
}

// commandIndex lists every command with what it can do.
func commandIndex(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Command | | What it can do |\n|---|---|---|\n")
	for _, file := range fileNames(t, dir) {
		name := strings.TrimSuffix(file, ".md")
		lines := strings.Split(read(t, filepath.Join(dir, file)), "\n")
		var verbs []string
		for _, l := range lines {
			if verb, ok := strings.CutPrefix(l, "## "+name+" "); ok {
				verbs = append(verbs, verb)
			}
		}
		if len(lines) < 3 || len(verbs) == 0 {
			t.Fatalf("%s: no commands", file)
		}
		fmt.Fprintf(&b, "| [`%s`](commands/%s) | %s | %s |\n", name, file, strings.TrimSuffix(lines[2], "."), strings.Join(verbs, ", "))
	}
	return b.String()
}

// methodCounts says how many of the reference's methods are supported.
func methodCounts(t *testing.T) string {
	t.Helper()
	reference := strings.Fields(read(t, filepath.Join(root, "internal/server/oneapi/testdata/methods.txt")))
	count := map[oneapi.Support]int{}
	var own []string
	for _, m := range oneapi.Methods() {
		if _, ok := slices.BinarySearch(reference, m.Name); !ok {
			own = append(own, "`"+m.Name+"`")
			continue
		}
		count[m.Support]++
	}
	text := fmt.Sprintf("Of the %d methods of the reference %d work, %d differ, %d are missing.\n",
		len(reference), count[oneapi.Works], count[oneapi.Differs], count[oneapi.Missing])
	if len(own) > 0 {
		text += "Not of the reference: " + strings.Join(own, ", ") + ".\n"
	}
	return text
}

// checkBlock compares a generated block with what it should be, or writes it.
func checkBlock(file, name, want string) error {
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->"
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("no block %q … %q", strings.TrimSpace(begin), end)
	}
	if got == want {
		return nil
	}
	if *update {
		return os.WriteFile(file, []byte(before+begin+want+end+after), 0o644)
	}
	return fmt.Errorf("the block %s is not what the program says today; run 'make gen'", name)
}
