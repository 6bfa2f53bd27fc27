package onegate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Exit codes. Source: OneGate reference §4.5.
const (
	exitOK     = 0
	exitBroken = 1   // where the reference dies of an exception
	exitFailed = 255 // everything else that went wrong
)

// app is one invocation, with all it takes from outside.
type app struct {
	args           []string // without the program's name
	env            func(string) (string, bool)
	root           string // where the file system begins
	stdout, stderr io.Writer
	terminal       bool // stdout is one
	transport      func(proxy *url.URL) http.RoundTripper
	timeout        time.Duration // of one request
	sleep          func(context.Context, time.Duration) error
	now            func() time.Time
	jitter         func() float64 // 0 to 1, to spread the guests of a service
}

// failure ends the program with a message on standard error and an exit code.
type failure struct {
	text string
	help bool // the help comes first
	code int
}

func (f *failure) Error() string { return f.text }

func broken(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), code: exitBroken}
}

func failed(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...), code: exitFailed}
}

// run does what the arguments say and returns the exit code.
func (a *app) run(ctx context.Context) int {
	err := a.command(ctx)
	f, known := errors.AsType[*failure](err)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errHelp):
		fmt.Fprint(a.stderr, help)
		return exitOK
	case !known:
		fmt.Fprint(a.stderr, "ERROR: \n"+line(err.Error()))
		return exitFailed
	case f.help:
		fmt.Fprint(a.stderr, help)
	}
	if f.text != "" {
		fmt.Fprint(a.stderr, line(f.text))
	}
	return f.code
}

// line ends a text with one newline, unless it has one.
func line(s string) string { return strings.TrimSuffix(s, "\n") + "\n" }

// command runs the command that the words name.
func (a *app) command(ctx context.Context) error {
	o, err := parseOptions(a.args)
	if err != nil {
		return err
	}
	commands := map[string]func(context.Context, *options) error{
		"vm": a.vm, "service": a.service, "vrouter": a.vrouter, "vnet": a.vnet,
		"ready": a.ready, "metrics": a.metrics, "watch": a.watch, "version": a.version,
	}
	run := commands[o.word(0)]
	if run == nil {
		return &failure{help: true, code: exitFailed}
	}
	return run(ctx, o)
}

// unsupported is the answer to an unknown second word.
func unsupported(o *options) error {
	return &failure{help: true, text: "\nAction " + o.word(1) + " not supported", code: exitFailed}
}

// release is set when a release is built.
var release = "devel"

func (a *app) version(context.Context, *options) error {
	_, err := fmt.Fprintf(a.stdout, "onegate %s (Trifid), speaks OneGate %s\n", release, interfaceVersion)
	return err
}
