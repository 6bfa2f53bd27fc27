package onegate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// readyTimeout bounds one attempt of ready, as the reference's script does.
const readyTimeout = 10 * time.Second

// ready pushes READY=YES, and tries again when that fails: RETRY_COUNT times in
// all, RETRY_WAIT_PERIOD seconds apart. Source: OneGate reference §5.5, net-99.
func (a *app) ready(ctx context.Context, _ *options) error {
	env := a.environment()
	tries, err := number(env, "RETRY_COUNT", 3, 1)
	if err != nil {
		return err
	}
	wait, err := number(env, "RETRY_WAIT_PERIOD", 10, 0)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	c.timeout = min(c.timeout, readyTimeout)
	for i := 1; ; i++ {
		_, err = c.do(ctx, http.MethodPut, "/vm", typeForm, form(setting{"data", "READY=YES"}, setting{"type", "1"}))
		if err == nil {
			_, err = io.WriteString(a.stdout, "Reported READY\n")
			return err
		}
		if i == tries || ctx.Err() != nil {
			return broken("%v\nFailed to report READY", err)
		}
		fmt.Fprintf(a.stderr, "attempt %d of %d: %v\n", i, tries, err)
		if err := a.sleep(ctx, time.Duration(wait)*time.Second); err != nil {
			return broken("%v\nFailed to report READY", err)
		}
	}
}

// number reads a whole number from the environment.
func number(env func(string) string, name string, def, least int) (int, error) {
	s := env(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > 1_000_000 {
		return 0, broken("%s %q: expected a number from %d to 1000000", name, s, least)
	}
	return n, nil
}
