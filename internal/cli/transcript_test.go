package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/cli"
	"github.com/trifid-cloud/trifid/internal/golden"
)

// The transcripts in testdata/*.txt are commands and what they do. A line that
// begins with "$ " is a command, perhaps with "< file" for its standard input;
// below it follow what the servers were asked ("-> "), the output, the errors
// ("! ") and the exit code when it is not 0 ("? "). With -update everything but
// the commands and the comments is written anew.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(text))
			compare(t, got, golden.Want(t, file, got))
		})
	}
}

// compare shows the first lines that differ, with the command they belong to.
func compare(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	command := ""
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if strings.HasPrefix(b, "$ ") {
			command = b
		}
		if a != b {
			t.Fatalf("line %d, after %s\n got %q\nwant %q", i+1, command, a, b)
		}
	}
}

type stage struct {
	t    *testing.T
	core *fakeCore
	flow *fakeFlow
	home string
	env  map[string]string
}

// at is the time of every transcript.
var at = time.Date(2023, 11, 14, 23, 13, 20, 0, time.UTC)

func newStage(t *testing.T) *stage {
	s := &stage{t: t, core: newFakeCore(t), flow: newFakeFlow(t), home: t.TempDir()}
	s.env = map[string]string{"HOME": s.home, "ONE_XMLRPC": s.core.URL + "/RPC2", "ONEFLOW_URL": s.flow.URL, "ONE_AUTH": filepath.Join(s.home, "auth")}
	if err := os.WriteFile(s.env["ONE_AUTH"], []byte("ana:pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func replay(t *testing.T, script string) string {
	s := newStage(t)
	var out strings.Builder
	blank := false
	for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			if blank {
				out.WriteString("\n")
			}
			blank = false
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "$ "):
			if blank {
				out.WriteString("\n")
			}
			blank = true
			out.WriteString(line + "\n" + s.run(strings.TrimPrefix(line, "$ ")))
		}
	}
	return out.String()
}

// run runs a command line and describes what came of it.
func (s *stage) run(line string) string {
	words, input := split(s.t, line)
	var stdin io.Reader
	if input != "" {
		f, err := os.Open(filepath.Join("testdata", "files", input))
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		stdin = f
	}
	env := maps.Clone(s.env)
	for len(words) > 0 && strings.Contains(words[0], "=") {
		k, v, _ := strings.Cut(words[0], "=")
		env[k] = strings.ReplaceAll(v, "HOME", s.home)
		words = words[1:]
	}
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "FILES", "testdata/files")
	}
	var stdout, stderr bytes.Buffer
	code := cli.Run(context.Background(), words[0], words[1:], cli.IO{
		In: stdin, Out: &stdout, Err: &stderr, Now: func() time.Time { return at }, Zone: time.UTC,
		Getenv: func(name string) string { return env[name] },
	})
	var out strings.Builder
	for _, c := range append(s.core.asked(), s.flow.asked()...) {
		out.WriteString("-> " + c + "\n")
	}
	out.WriteString(stdout.String())
	if text := stderr.String(); text != "" {
		for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			out.WriteString(strings.TrimRight("! "+l, " ") + "\n")
		}
	}
	if code != 0 {
		fmt.Fprintf(&out, "? %d\n", code)
	}
	text := strings.NewReplacer(s.home, "HOME", s.core.Listener.Addr().String(), "CORE", s.flow.Listener.Addr().String(), "FLOW").Replace(out.String())
	return visible(text)
}

// visible marks the blanks at the ends of lines, which would be lost to editors.
func visible(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasSuffix(l, " ") {
			lines[i] = l[:len(l)-1] + "·"
		}
	}
	return strings.Join(lines, "\n")
}

// split cuts a command line into words as a shell does, and a file behind "<".
func split(t *testing.T, line string) (words []string, input string) {
	var word strings.Builder
	var quote rune
	inWord := false
	flush := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inWord = r, true
		case quote == 0 && r == ' ':
			flush()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	flush()
	if quote != 0 {
		t.Fatalf("unclosed quote in %s", line)
	}
	if n := len(words); n > 1 && words[n-2] == "<" {
		return words[:n-2], words[n-1]
	}
	return words, ""
}
