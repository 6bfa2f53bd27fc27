package docs

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command is what may be typed: a command and the flags it takes.
type command struct{ flags map[string]bool }

// commandTable reads the generated pages: commands by their words, "onevm create".
func commandTable(t *testing.T) map[string]command {
	t.Helper()
	out := map[string]command{}
	for name, p := range pages(t) {
		if path.Dir(name) != commandPages {
			continue
		}
		shared := map[string]bool{}
		for a := range strings.SplitSeq(p.text, "\n") {
			if words, ok := strings.CutPrefix(a, "## "); ok {
				out[words] = command{map[string]bool{"--help": true, "-h": true, "--version": true, "-V": true}}
			}
		}
		for _, r := range p.rows {
			into := shared
			if c, ok := out[r.under]; ok {
				into = c.flags
			}
			for _, word := range strings.FieldsFunc(strings.Trim(r.cells[0], "`"), func(r rune) bool { return r == ' ' || r == ',' || r == '[' }) {
				if strings.HasPrefix(word, "-") {
					into[word] = true
				}
			}
		}
		for words, c := range out {
			if strings.HasPrefix(words, strings.TrimSuffix(path.Base(name), ".md")+" ") {
				for f := range shared {
					c.flags[f] = true
				}
			}
		}
	}
	return out
}

var (
	assignment = regexp.MustCompile(`^[A-Z_]+=`)
	separator  = regexp.MustCompile(`\|\||&&|[|;]`)
	ourCommand = regexp.MustCompile(`^(trifid|one(vm|template|image|vnet|vntemplate|vrouter|secgroup|host|cluster|datastore|user|group|acl|vdc|zone|flow|flow-template))$`)
)

// Every command line in the documents is one that the program knows, flags included.
func TestCommandLines(t *testing.T) {
	table := commandTable(t)
	count := 0
	for _, p := range pages(t) {
		if path.Dir(p.name) == commandPages {
			continue
		}
		for _, m := range append(slices.Clone(p.spans), p.shell...) {
			text, _, _ := strings.Cut(m.text, " # ")
			for _, part := range separator.Split(text, -1) {
				words := strings.Fields(part)
				for len(words) > 0 && (assignment.MatchString(words[0]) || words[0] == "sudo" || words[0] == "$") {
					words = words[1:]
				}
				if len(words) == 0 || !ourCommand.MatchString(path.Base(words[0])) {
					continue
				}
				count++
				words[0] = path.Base(words[0])
				if fault := misuse(table, words); fault != "" {
					t.Errorf("%s:%d: %s", p.name, m.line, fault)
				}
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d command lines found: the check no longer sees them", count)
	}
}

// misuse tells what is wrong with a command line, "" for nothing.
func misuse(table map[string]command, words []string) string {
	if words[0] == "trifid" && len(words) > 1 {
		for _, noun := range []string{words[1], "one" + words[1]} {
			if words[1] != "trifid" && ourCommand.MatchString(noun) {
				words = append([]string{noun}, words[2:]...)
				break
			}
		}
	}
	// The last three have no page: docs writes them and is hidden, help and completion are the library's.
	if len(words) == 1 || strings.HasPrefix(words[1], "-") || slices.Contains([]string{"docs", "help", "completion"}, words[1]) {
		return ""
	}
	for n := len(words); n > 1; n-- {
		c, ok := table[strings.Join(words[:n], " ")]
		if !ok {
			continue
		}
		for _, w := range words[n:] {
			flag, _, _ := strings.Cut(w, "=")
			if strings.HasPrefix(flag, "-") && flag != "-" && !c.flags[flag] {
				return strings.Join(words[:n], " ") + " has no flag " + flag
			}
		}
		return ""
	}
	return "there is no command " + strings.Join(words, " ")
}

func TestMisuse(t *testing.T) {
	table := map[string]command{"onevm create": {map[string]bool{"--name": true}}, "trifid up": {nil}}
	for line, want := range map[string]string{
		"trifid up":                    "",
		"trifid down":                  "there is no command trifid down",
		"trifid vm create --name=web":  "",
		"onevm create --nme web":       "onevm create has no flag --nme",
		"onevm crate":                  "there is no command onevm crate",
		"trifid completion bash --all": "",
	} {
		if got := misuse(table, strings.Fields(line)); got != want {
			t.Errorf("%s: %q, expected %q", line, got, want)
		}
	}
}
