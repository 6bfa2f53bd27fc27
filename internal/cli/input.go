package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// maxTemplate bounds a template read from a file or from standard input, in bytes.
const maxTemplate = 16 << 20

// readFile reads a template; "-" is standard input.
func (c *call) readFile(path string) (string, error) {
	if path == "-" {
		return readText(c.io.In)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	defer f.Close()
	return readText(f)
}

func readText(r io.Reader) (string, error) {
	if r == nil {
		return "", nil
	}
	b, err := io.ReadAll(io.LimitReader(r, maxTemplate+1))
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	if len(b) > maxTemplate {
		return "", fmt.Errorf("read template: larger than %d bytes", maxTemplate)
	}
	return string(b), nil
}

// stdin reads standard input when something other than a terminal or another
// device feeds it.
func (c *call) stdin() (string, error) {
	f, ok := c.io.In.(*os.File)
	if !ok {
		return readText(c.io.In)
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeDevice != 0 {
		return "", nil
	}
	return readText(f)
}

// pipeGrace is how long a command that can do without standard input waits for a
// pipe to say something, in milliseconds: a pipe that scripts leave open but
// silent must not hang it.
const pipeGrace = 250

// stdinIfAny is stdin for commands to which it is a mere addition.
func (c *call) stdinIfAny() (string, error) {
	if f, ok := c.io.In.(*os.File); ok {
		st, err := f.Stat()
		if err != nil {
			return "", nil
		}
		if st.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 && !readable(f) {
			return "", nil
		}
	}
	return c.stdin()
}

func readable(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, pipeGrace)
	return err == nil && n > 0
}

// given returns the template a file argument or standard input holds; ok tells
// whether there was one.
func (c *call) template(fileArg int) (t string, ok bool, err error) {
	if c.given(fileArg) {
		t, err = c.readFile(c.text(fileArg))
		return t, true, err
	}
	t, err = c.stdin()
	return t, strings.TrimSpace(t) != "", err
}

// fileOrStdin returns what --file names, else standard input if it says
// something; ok tells whether there was one.
func (c *call) fileOrStdin() (t string, ok bool, err error) {
	if path := c.str("file"); path != "" {
		t, err = c.readFile(path)
		return t, true, err
	}
	t, err = c.stdinIfAny()
	return t, strings.TrimSpace(t) != "", err
}

var errNoTemplate = errors.New("a template is needed: name a file or feed it to standard input")

// edit returns the template of a file argument or of standard input, else what
// the user makes of the current text in an editor.
func (c *call) edit(fileArg int, current func() (string, error)) (string, error) {
	t, ok, err := c.template(fileArg)
	if ok || err != nil {
		return t, err
	}
	if c.io.Getenv("EDITOR") == "" && !c.canAsk() {
		return "", errNoTemplate // an editor without a terminal would not end
	}
	text := ""
	if !c.flag("append") {
		if text, err = current(); err != nil {
			return "", err
		}
	}
	return c.editor(text)
}

// editor lets the user change a text with $EDITOR, vi by default.
func (c *call) editor(text string) (string, error) {
	f, err := os.CreateTemp("", "trifid-*.txt")
	if err != nil {
		return "", fmt.Errorf("start editor: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("start editor: %w", err)
	}
	editor := c.io.Getenv("EDITOR")
	if editor == "" {
		editor = "vi"
	}
	// Through a shell, as EDITOR may hold arguments.
	cmd := exec.CommandContext(c.ctx, "/bin/sh", "-c", editor+` "$1"`, "sh", f.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.io.In, c.io.Out, c.io.Err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("editor %s: %w", editor, err)
	}
	return c.readFile(f.Name())
}

// appendFlag is the number an update takes for --append.
func (c *call) appendFlag() int {
	if c.flag("append") {
		return 1
	}
	return 0
}

// ask writes a question and reads one line of answer.
func (c *call) ask(question string) (string, error) {
	fmt.Fprint(c.io.Err, question)
	var b strings.Builder
	one := make([]byte, 1) // no more than the line, the rest is the next answer's
	for b.Len() < maxTemplate {
		if c.io.In == nil {
			return "", io.ErrUnexpectedEOF
		}
		n, err := c.io.In.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				break
			}
			b.WriteByte(one[0])
		}
		if err != nil {
			if b.Len() > 0 {
				break
			}
			return "", fmt.Errorf("read answer: %w", err)
		}
	}
	return strings.TrimRight(b.String(), "\r"), nil
}

// askPassword asks without showing what is typed.
func (c *call) askPassword(question string) (string, error) {
	f, ok := c.io.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return c.ask(question)
	}
	fmt.Fprint(c.io.Err, question)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(c.io.Err)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(b), nil
}

// templateOf returns a function that renders an element of an object as
// template text, for the editor.
func (c *call) templateOf(id int, path string) func() (string, error) {
	return func() (string, error) {
		n, err := c.doc(c.noun.pool.object+".info", id)
		if err != nil {
			return "", err
		}
		return doc.TemplateText(n.At(path)), nil
	}
}
