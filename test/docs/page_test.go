package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// page is a Markdown file, taken apart as far as the checks need it.
type page struct {
	name    string // relative to the root of the repository
	text    string
	anchors map[string]bool
	links   []mark
	spans   []mark // `code` in running text
	shell   []mark // lines of blocks marked sh
	drawn   []mark // words of blocks without a language: drawings, listings
	blocks  []block
	rows    []row // of tables
}

// mark is a piece of text and the line it stands in, from 1.
type mark struct {
	line int
	text string
}

// block is a fenced block: its language, its text, the heading it stands under.
type block struct {
	line                  int
	language, text, under string
}

// row is a row of a table: its cells, and the heading it stands under.
type row struct {
	line  int
	under string
	cells []string
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)`)
	heading  = regexp.MustCompile(`^#{1,6} +(.+)$`)
)

// parsePage reads what these documents use of Markdown: fenced blocks, headings, code spans, inline links, tables.
func parsePage(name, text string) page {
	p := page{name: name, text: text, anchors: map[string]bool{}}
	fence, under := "", ""
	for i, line := range strings.Split(text, "\n") {
		number := i + 1
		if mark, language, ok := strings.Cut(strings.TrimSpace(line), "```"); ok && mark == "" {
			if fence == "" {
				fence = "```" + language
				p.blocks = append(p.blocks, block{number, language, "", under})
			} else {
				fence = ""
			}
			continue
		}
		if fence != "" {
			p.blocks[len(p.blocks)-1].text += line + "\n"
			switch fence {
			case "```sh":
				p.shell = append(p.shell, mark{number, line})
			case "```":
				for _, word := range strings.Fields(line) {
					p.drawn = append(p.drawn, mark{number, strings.TrimRight(word, ",;:")})
				}
			}
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			under = m[1]
			p.anchors[anchor(m[1])] = true
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			p.spans = append(p.spans, mark{number, m[1]})
		}
		// The text of a link may be code; its target never is.
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
			p.links = append(p.links, mark{number, m[1]})
		}
		if cells, ok := tableCells(line); ok {
			p.rows = append(p.rows, row{number, under, cells})
		}
	}
	return p
}

// tableCells returns the cells of a table's row that is neither head rule nor text.
func tableCells(line string) ([]string, bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok || strings.HasPrefix(inner, "---") {
		return nil, false
	}
	inner = strings.TrimSuffix(inner, "|")
	cells := strings.Split(strings.ReplaceAll(inner, `\|`, "\x00"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|"))
	}
	return cells, true
}

// anchor is the name by which a heading is linked to, as the usual renderers make it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

// pages are the documents of the project: what is in docs, and every other Markdown file.
func pages(t *testing.T) map[string]page {
	t.Helper()
	out := map[string]page{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
			return filepath.SkipDir
		}
		if entry.IsDir() || path.Ext(file) != ".md" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		out[name] = parsePage(name, string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// one returns a document that must be there.
func one(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return parsePage(name, string(text))
}
