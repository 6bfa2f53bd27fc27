package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/cli"
)

// leaves calls f for every command below cmd that does something.
func leaves(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if sub.HasSubCommands() {
			leaves(sub, f)
		} else if sub.Name() != "help" {
			f(sub)
		}
	}
}

// Every command explains itself, and its examples are command lines it takes.
func TestEveryCommandHasHelpAndExamples(t *testing.T) {
	count := 0
	leaves(cli.Root(cli.IO{}), func(cmd *cobra.Command) {
		count++
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short help is %q", path, cmd.Short)
		}
		if cmd.Example == "" && !cmd.Hidden {
			t.Errorf("%s has no example", path)
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if line == "" {
				continue
			}
			words, _ := split(t, strings.TrimSpace(line))
			root := cli.Root(cli.IO{})
			found, rest, err := root.Find(words[1:])
			if err != nil || words[0] != "trifid" || found.CommandPath() != path {
				t.Errorf("%s: the example %q is of %s, %v", path, line, found.CommandPath(), err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: the example %q: %v", path, line, err)
				continue
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: the example %q: %v", path, line, err)
			}
		}
	})
	if count < 250 {
		t.Errorf("only %d commands were looked at", count)
	}
}

func (s *stage) complete(words ...string) []string {
	var out bytes.Buffer
	code := cli.Run(context.Background(), "trifid", append([]string{"__complete"}, words...), cli.IO{
		Out: &out, Err: &bytes.Buffer{}, Getenv: func(name string) string { return s.env[name] },
	})
	if code != 0 {
		s.t.Errorf("completing %q exited with %d", words, code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1] // the last one is a directive
}

func TestCompletion(t *testing.T) {
	s := newStage(t)
	cases := []struct {
		words []string
		want  []string
	}{
		{[]string{"vm", "terminate", "web"}, []string{"web-1"}},
		{[]string{"vm", "terminate", "db,web"}, []string{"db,web-1"}},
		{[]string{"vm", "list", ""}, []string{"all", "mine", "group"}},
		{[]string{"oneuser", "chgrp", "ana", "test"}, []string{"testers"}},
		{[]string{"vm", "rename", "7", ""}, nil},
		{[]string{"vm", "terminate", "--user", "eve", "web"}, nil},
		{[]string{"flow", "show", ""}, []string{"failed", "gone", "web-prod"}},
	}
	for _, c := range cases {
		if got := s.complete(c.words...); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.words, got, c.want)
		}
	}
	s.core.Close()
	if got := s.complete("vm", "terminate", ""); len(got) != 0 {
		t.Errorf("without a server: got %q", got)
	}
}

func TestDocs(t *testing.T) {
	dir := t.TempDir()
	for kind, page := range map[string]string{"man": "onevm.1", "markdown": "oneflow-template.md"} {
		if code := cli.Main([]string{"trifid", "docs", kind, dir}, nil, &bytes.Buffer{}, os.Stderr); code != 0 {
			t.Fatalf("docs %s exited with %d", kind, code)
		}
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Error(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	man, markdown := read("onevm.1"), read("onevm.md")
	for _, part := range []string{
		".TH ONEVM 1", ".SS onevm terminate <vmid_list>", `.B \-\-hard`, "onevm terminate 7", // roff writes - as \-
	} {
		if !strings.Contains(man, part) {
			t.Errorf("onevm.1 lacks %q", part)
		}
	}
	for line := range strings.SplitSeq(man, "\n") {
		if strings.HasPrefix(line, ".") && !slices.Contains([]string{".TH", ".SH", ".SS", ".B", ".I", ".PP", ".nf", ".fi", ".TP"}, strings.Fields(line)[0]) {
			t.Errorf("text became a request: %s", line)
		}
	}
	for _, part := range []string{"# onevm\n", "## onevm terminate", "| `--hard` |", "onevm terminate 7"} {
		if !strings.Contains(markdown, part) {
			t.Errorf("onevm.md lacks %q", part)
		}
	}
	if own := read("trifid.md"); !strings.Contains(own, "## trifid links") || strings.Contains(own, "completion") {
		t.Errorf("trifid.md is not of the program's own commands:\n%s", own)
	}
	// What every command takes is said once.
	if n := strings.Count(markdown, "`--endpoint string`"); n != 1 {
		t.Errorf("onevm.md tells %d times of --endpoint", n)
	}
	if code := cli.Main([]string{"trifid", "docs", "pdf", dir}, nil, &bytes.Buffer{}, &bytes.Buffer{}); code != 255 {
		t.Errorf("docs pdf exited with %d", code)
	}
}

func TestLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin")
	for range 2 { // the second finds them made
		if code := cli.Main([]string{"trifid", "links", dir}, nil, &bytes.Buffer{}, os.Stderr); code != 0 {
			t.Fatalf("links exited with %d", code)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"onevm", "oneflow-template"} {
		if to, err := os.Readlink(filepath.Join(dir, name)); err != nil || to != self {
			t.Errorf("%s leads to %q, %v", name, to, err)
		}
	}
	// Something of the same name is not overwritten.
	other := filepath.Join(t.TempDir(), "onevm")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := cli.Main([]string{"trifid", "links", filepath.Dir(other)}, nil, &bytes.Buffer{}, &bytes.Buffer{}); code != 255 {
		t.Errorf("links over a file exited with %d", code)
	}
}

// A further command of the program is there beside the nouns, not below links.
func TestFurtherCommands(t *testing.T) {
	run := func(argv0 string) (int, string) {
		var out, errs bytes.Buffer
		up := &cobra.Command{Use: "up", Short: "Run", Run: func(cmd *cobra.Command, _ []string) { cmd.Println("running") }}
		code := cli.Run(context.Background(), argv0, []string{"up"}, cli.IO{Out: &out, Err: &errs}, up)
		return code, out.String() + errs.String()
	}
	if code, out := run("/usr/bin/trifid"); code != 0 || !strings.Contains(out, "running") {
		t.Errorf("exited with %d: %s", code, out)
	}
	if code, out := run("/usr/bin/onevm"); code != 255 || !strings.Contains(out, "Command 'up' not found") {
		t.Errorf("exited with %d: %s", code, out)
	}
}

// Not parallel: the ssh of the test comes first in the path.
func TestSSH(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\necho \"$@\"\ncat\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	var out bytes.Buffer
	code := cli.Run(context.Background(), "onevm", []string{"ssh", "7", "admin", "--cmd", "uptime -p"}, cli.IO{
		In: strings.NewReader("typed"), Out: &out, Err: &out, Getenv: func(name string) string { return s.env[name] },
	})
	if want := "-l admin -- 10.0.0.11 uptime -p\ntyped"; code != 7 || out.String() != want {
		t.Errorf("exited with %d, said %q, want %q", code, &out, want)
	}
}
