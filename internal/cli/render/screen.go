// Package render prints what the commands show: tables with exact columns,
// panels, and documents as CSV, JSON, YAML and XML, laid out as users of the
// OpenNebula command line know them.
//
// It decides nothing: it imports client/doc and no client.
package render

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Screen is where output goes. Decoration (bold, colour, expanding columns)
// happens only on a terminal and carries no meaning of its own.
type Screen struct {
	w io.Writer
	// Width is the number of columns of the terminal, 0 when the output is none.
	Width int
	// Decorated allows bold and colour.
	Decorated bool
	err       error
}

// NewScreen returns a screen on w. It is decorated when w is a terminal and
// noColor, the value of NO_COLOR, is empty.
func NewScreen(w io.Writer, noColor string) *Screen {
	s := &Screen{w: w}
	f, ok := w.(*os.File)
	if !ok {
		return s
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && term.IsTerminal(int(f.Fd())) {
		s.Width, s.Decorated = width, noColor == ""
	}
	return s
}

// Err returns the first error of writing.
func (s *Screen) Err() error { return s.err }

// Print writes text. Control characters, which names and templates of others may
// hold, do not reach a terminal.
func (s *Screen) Print(text string) { s.raw(s.plain(text)) }

func (s *Screen) raw(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, text)
	}
}

// plain returns text that cannot command a terminal; a pipe gets it as it is.
func (s *Screen) plain(text string) string {
	if s.Width == 0 && !s.Decorated {
		return text
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Println writes a line.
func (s *Screen) Println(line string) { s.Print(line + "\n") }

// Printf writes formatted text.
func (s *Screen) Printf(format string, args ...any) { s.Print(fmt.Sprintf(format, args...)) }

// Clear empties a terminal, as "top" does between two listings.
func (s *Screen) Clear() {
	if s.Width > 0 {
		s.raw("\x1b[2J\x1b[H")
	}
}

const (
	ansiBold      = "\x1b[1m"
	ansiUnderline = "\x1b[4m"
	ansiReset     = "\x1b[0m"
	ansiRed       = "\x1b[31m"
	ansiGreen     = "\x1b[32m"
	ansiYellow    = "\x1b[33m"
)

// heading writes a line in bold, underlined if asked.
func (s *Screen) heading(text string, underline bool) {
	text = s.plain(text)
	if s.Decorated {
		style := ansiBold
		if underline {
			style += ansiUnderline
		}
		text = style + text + ansiReset
	}
	s.raw(text + "\n")
}

// stateColours maps the states listings paint. Source: OneFlow reference §7.4;
// the short words are those of the other resources.
var stateColours = map[string]string{
	"runn": ansiGreen, "rdy": ansiGreen, "on": ansiGreen, "RUNNING": ansiGreen,
	"fail": ansiRed, "err": ansiRed, "FAILED_DEPLOYING": ansiRed, "FAILED_DEPLOYING_NETS": ansiRed,
	"FAILED_UNDEPLOYING": ansiRed, "FAILED_UNDEPLOYING_NETS": ansiRed, "FAILED_SCALING": ansiRed,
	"PENDING": ansiYellow, "DEPLOYING": ansiYellow, "DEPLOYING_NETS": ansiYellow, "UNDEPLOYING": ansiYellow,
	"UNDEPLOYING_NETS": ansiYellow, "WARNING": ansiYellow,
}

// paint colours a state, padding and all.
func (s *Screen) paint(cell string) string {
	colour := stateColours[strings.TrimSpace(cell)]
	if colour == "" || !s.Decorated {
		return cell
	}
	return colour + cell + ansiReset
}
