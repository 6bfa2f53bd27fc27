// Package cli holds the commands: onevm, onetemplate and their kin, called by
// that name through a link or as trifid onevm or trifid vm.
//
// A command parses, calls the server and prints; every rule about what may be
// done is the server's. A noun (a kind of resource) is a table entry: its
// columns, its panel and its verbs. Source: XML-RPC reference §11, OneFlow
// reference §7; the layouts are those of OpenNebula 6.8.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
)

// IO is what a command sees of the world.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv reads the environment; nil is os.Getenv.
	Getenv func(string) string
	// Now tells the time; nil is time.Now.
	Now func() time.Time
	// Zone is the zone times are printed in; nil is the machine's.
	Zone *time.Location
	// DataDir is the server's data directory when TRIFID_DATA names none; a
	// client without other settings finds address and credentials there.
	DataDir string
}

func (i IO) withDefaults() IO {
	if i.Getenv == nil {
		i.Getenv = os.Getenv
	}
	if i.Now == nil {
		i.Now = time.Now
	}
	if i.Zone == nil {
		i.Zone = time.Local
	}
	return i
}

// System is the IO of a process.
func System() IO { return IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// Exit codes. The original exits with -1; OneFlow's commands with the HTTP
// status. Source: OneFlow reference §7.1.
const exitFailed = 255

// app is one run of a command.
type app struct {
	io   IO
	out  *render.Screen
	errs *render.Screen
	conf client.Config // of the last client made, for hints
}

func newApp(i IO) *app {
	i = i.withDefaults()
	noColor := i.Getenv("NO_COLOR")
	return &app{io: i, out: render.NewScreen(i.Out, noColor), errs: render.NewScreen(i.Err, noColor)}
}

// Root returns the command that holds every noun; more are further commands of
// the program, such as those that run the server.
func Root(i IO, more ...*cobra.Command) *cobra.Command { return newApp(i).root(more...) }

// Run runs the command line of a program called by the name argv0 (its base name
// selects a noun when the program was called through a link) and returns its
// exit code. Errors are printed.
func Run(ctx context.Context, argv0 string, args []string, i IO, more ...*cobra.Command) int {
	a := newApp(i)
	root := a.linked(filepath.Base(argv0))
	if root == nil {
		root = a.root(more...)
	}
	root.SetArgs(joinOptional(root, args))
	err := root.ExecuteContext(ctx)
	if err == nil && a.out.Err() != nil {
		err = fmt.Errorf("write output: %w", a.out.Err())
	}
	return a.exit(err)
}

// Main runs a command line and returns its exit code; args includes the name of
// the program.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := "trifid"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	return Run(context.Background(), name, args, IO{In: stdin, Out: stdout, Err: stderr})
}

// exitError carries an exit code; a nil cause means that everything was said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errSaid fails a command whose errors were printed already.
var errSaid = &exitError{code: exitFailed}

// exit prints an error, with one line on what to do about it when there is
// something, and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return 0
	}
	code := exitFailed
	if coded, ok := errors.AsType[*exitError](err); ok {
		code = coded.code
		if err = coded.err; err == nil {
			return code
		}
	}
	a.say(err)
	return code
}

// say prints an error and its hint.
func (a *app) say(err error) {
	a.errs.Println(strings.TrimRight(err.Error(), "\n"))
	if h := a.hint(err); h != "" {
		a.errs.Println(h)
	}
}

// hint says what to do about an error, "" when there is nothing to say.
func (a *app) hint(err error) string {
	var conn *client.ConnError
	var refusal *client.Error
	switch {
	case errors.As(err, &conn) && conn.Refused:
		return "is the server running? start it with: trifid up"
	case errors.As(err, &conn) && conn.Timeout:
		return "a longer wait can be set with: export ONE_XMLRPC_TIMEOUT=<seconds>"
	case errors.Is(err, client.ErrNoCredentials):
		return "write user:password into ~/.one/one_auth, or name a file with: export ONE_AUTH=<file>"
	case errors.As(err, &refusal) && (refusal.Code == client.CodeAuthentication || refusal.Code == 401):
		if a.conf.AuthFile != "" {
			return "the credentials came from " + a.conf.AuthFile
		}
		return "check the user name and the password"
	}
	return ""
}

// env is where clients find their settings.
func (a *app) env() client.Env { return client.Env{Getenv: a.io.Getenv, DataDir: a.io.DataDir} }
