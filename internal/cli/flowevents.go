package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
)

func eventsVerb() verb {
	return verb{
		name: "events", short: "Show what happened to a service, and why", args: []arg{self("service")},
		long:    "The server keeps the last hundred events of a service. With --follow those to come are shown as they happen, and which VMs come to run or fail, until the service is gone.",
		example: "events web\nevents web --follow\nevents web --json",
		flags: func(f *pflag.FlagSet) {
			boolean(f, "follow", "f", "go on with what happens from now on")
			boolean(f, "json", "j", "print each event as a line of JSON")
		},
		run: flowEvents,
	}
}

// flowEvent is what is shown of an event.
type flowEvent struct {
	Time     int64  `json:"time"`
	Severity string `json:"severity"`
	Type     string `json:"type"`
	Text     string `json:"text"`
}

func flowEvents(c *call) error {
	path := c.path(c.subjects()[0], "/events")
	if c.flag("follow") {
		return c.follow(path)
	}
	answer, err := c.request(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	var list struct{ Events []json.RawMessage }
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, e := range list.Events {
		if _, err := c.printEvent(e); err != nil {
			return err
		}
	}
	return c.out.Err()
}

// printEvent prints an event and returns its type.
func (c *call) printEvent(raw []byte) (string, error) {
	var e flowEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		return "", fmt.Errorf("read an event: %w", err)
	}
	if c.flag("json") {
		return e.Type, render.RawJSONLine(c.out, raw)
	}
	c.out.Printf("%s [%s] %s\n", c.time(e.Time, render.Seconds), e.Severity, e.Text)
	return e.Type, c.out.Err()
}

var errGone = errors.New("the service is gone")

// reconnectAfter is how long a stream that broke off is left alone.
const reconnectAfter = time.Second

// follow prints events until the service is gone or the command is interrupted.
// When the server goes away it waits for it to come back, and misses nothing.
func (c *call) follow(path string) error {
	f, err := c.flow()
	if err != nil {
		return err
	}
	last, heard := "", false
	for {
		err := f.Events(c.ctx, path, last, func(e client.Event) error {
			heard = true
			if e.ID != "" {
				last = e.ID
			}
			typ, err := c.printEvent(e.Data)
			if err == nil && typ == "gone" {
				err = errGone
			}
			return err
		})
		var refusal *client.Error
		var conn *client.ConnError
		switch {
		case c.ctx.Err() != nil || errors.Is(err, errGone):
			return nil
		case errors.As(err, &refusal) && refusal.Code != http.StatusServiceUnavailable:
			return flowError(err)
		case err != nil && refusal == nil && !errors.As(err, &conn), err != nil && !heard:
			return flowError(err)
		}
		select {
		case <-time.After(reconnectAfter):
		case <-c.ctx.Done():
			return nil
		}
	}
}
