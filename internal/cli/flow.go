package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/one"
)

var (
	servicePool         = pool{rname: "SERVICE", object: "/service", style: poolDirect}
	serviceTemplatePool = pool{rname: "SERVICE TEMPLATE", object: "/service_template", style: poolDirect}
)

// actions a role or service can be asked for. Source: OneFlow reference §5.
var roleActions = []string{
	"terminate", "terminate-hard", "undeploy", "undeploy-hard", "hold", "release", "stop", "suspend", "resume", "reboot", "reboot-hard",
	"poweroff", "poweroff-hard", "snapshot-create", "snapshot-revert", "snapshot-delete", "disk-snapshot-create", "disk-snapshot-revert",
	"disk-snapshot-delete",
}

// flow returns the client of OneFlow, made at first use.
func (c *call) flow() (*client.Flow, error) {
	if c.rest != nil {
		return c.rest, nil
	}
	o := client.Options{Endpoint: c.str("server"), User: c.str("username"), Password: c.str("password")}
	conf, err := c.env().Flow(o)
	if err != nil {
		return nil, err
	}
	c.conf = conf
	c.rest, err = client.NewFlow(conf)
	return c.rest, err
}

// request sends a request to OneFlow. An error carries the exit code of its HTTP
// status. Source: OneFlow reference §7.1.
func (c *call) request(method, path string, body any) ([]byte, error) {
	f, err := c.flow()
	if err != nil {
		return nil, err
	}
	answer, err := f.Do(c.ctx, method, path, body)
	return answer, flowError(err)
}

// flowError gives an error of OneFlow the exit code of its HTTP status.
func flowError(err error) error {
	var refusal *client.Error
	var conn *client.ConnError
	switch {
	case errors.As(err, &refusal):
		return &exitError{code: refusal.Code & 0xff, err: refusal}
	case errors.As(err, &conn):
		return &exitError{code: conn.FlowStatus() & 0xff, err: &flowConnError{conn}}
	}
	return err
}

// flowConnError words an error of transport as OneFlow's clients do.
type flowConnError struct{ conn *client.ConnError }

func (e *flowConnError) Error() string { return e.conn.FlowText() }
func (e *flowConnError) Unwrap() error { return e.conn }

// document is a service or a service template. Source: OneFlow reference §1.6.
type document struct {
	ID, UID, GID, UNAME, GNAME string
	Name                       string `json:"NAME"`
	PERMISSIONS                map[string]string
	TEMPLATE                   struct {
		BODY json.RawMessage
	}
	raw  json.RawMessage
	body serviceBody
}

type serviceBody struct {
	Deployment       string           `json:"deployment"`
	ShutdownAction   string           `json:"shutdown_action"`
	StartTime        int64            `json:"start_time"`
	RegistrationTime int64            `json:"registration_time"`
	State            one.ServiceState `json:"state"`
	Roles            []role           `json:"roles"`
	Log              []logEntry       `json:"log"`
	Actions          []pendingAction  `json:"sched_actions"`
}

// pendingAction is an action that is scheduled on a VM of a service.
type pendingAction struct {
	ID      number64 `json:"id"`
	Role    string   `json:"role"`
	VM      number64 `json:"vm"`
	Action  string   `json:"action"`
	Time    number64 `json:"time"`
	Message string   `json:"message"` // why it was refused
}

type logEntry struct {
	Timestamp int64  `json:"timestamp"`
	Severity  string `json:"severity"`
	Message   string `json:"message"`
}

func (d document) id() int {
	n, _ := strconv.Atoi(d.ID)
	return n
}

func readDocument(raw []byte) (document, error) {
	d := document{raw: raw}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("read the server's answer: %w", err)
	}
	if len(d.TEMPLATE.BODY) > 0 {
		if err := json.Unmarshal(d.TEMPLATE.BODY, &d.body); err != nil {
			return d, fmt.Errorf("read document %s: %w", d.ID, err)
		}
	}
	return d, nil
}

// documents lists a pool of OneFlow.
func (c *call) documents(p *pool) ([]document, error) {
	answer, err := c.request("GET", p.object, nil)
	if err != nil {
		return nil, err
	}
	var pool struct {
		Pool struct {
			Documents json.RawMessage `json:"DOCUMENT"`
		} `json:"DOCUMENT_POOL"`
	}
	if err := json.Unmarshal(answer, &pool); err != nil {
		return nil, fmt.Errorf("read the server's answer: %w", err)
	}
	var raws []json.RawMessage
	if docs := pool.Pool.Documents; len(docs) > 0 && docs[0] == '{' {
		raws = []json.RawMessage{docs} // alone, as older servers have it
	} else if len(docs) > 0 {
		if err := json.Unmarshal(docs, &raws); err != nil {
			return nil, fmt.Errorf("read the server's answer: %w", err)
		}
	}
	out := make([]document, len(raws))
	for i, r := range raws {
		if out[i], err = readDocument(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// document gets one service or template.
func (c *call) document(id int) (document, error) {
	answer, err := c.request("GET", c.path(id, ""), nil)
	if err != nil {
		return document{}, err
	}
	var envelope struct {
		Document json.RawMessage `json:"DOCUMENT"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return document{}, fmt.Errorf("read the server's answer: %w", err)
	}
	d, err := readDocument(envelope.Document)
	d.raw = answer
	return d, err
}

// path is the address of an object of the noun, or of something below it.
func (c *call) path(id int, below string) string {
	return c.noun.pool.object + "/" + strconv.Itoa(id) + below
}

// perform posts an action. Source: OneFlow reference §1.4.
func (c *call) perform(path, action string, params map[string]any) ([]byte, error) {
	body := map[string]any{"perform": action}
	if params != nil {
		body["params"] = params
	}
	return c.request("POST", path, map[string]any{"action": body})
}

// every is each for OneFlow: the exit code is that of the last error.
func (c *call) every(done string, do func(id int) error) error {
	ids := c.subjects()
	progress := render.NewProgress(c.errs, done, len(ids))
	var failed error
	for _, id := range ids {
		if err := do(id); err != nil {
			progress.Clear()
			c.say(err)
			failed = errSaid
			if coded, ok := errors.AsType[*exitError](err); ok {
				failed = &exitError{code: coded.code}
			}
		} else if c.flag("verbose") {
			progress.Clear()
			c.out.Printf("%s %d: %s\n", c.noun.pool.rname, id, done)
		}
		progress.Step()
	}
	return failed
}

// action makes the run of a verb that performs one action on every subject.
func flowAction(name, done string, params func(c *call) (map[string]any, error)) func(*call) error {
	return func(c *call) error {
		var p map[string]any
		if params != nil {
			var err error
			if p, err = params(c); err != nil {
				return err
			}
		}
		return c.every(done, func(id int) error {
			_, err := c.perform(c.path(id, "/action"), name, p)
			return err
		})
	}
}

// flowOwnedVerbs are the verbs that services and templates share.
func flowOwnedVerbs(name string) []verb {
	return []verb{
		{
			name: "chown", short: "Change owner and group", args: []arg{selfs(name), of("userid", &userPool), optional(of("groupid", &groupPool))}, example: "chown 7 ana",
			run: flowAction("chown", "Owner/Group changed", func(c *call) (map[string]any, error) {
				return map[string]any{"owner_id": c.num(1, -1), "group_id": c.num(2, -1)}, nil
			}),
		},
		{
			name: "chgrp", short: "Change the group", args: []arg{selfs(name), of("groupid", &groupPool)}, example: "chgrp 7 users",
			run: flowAction("chgrp", "Group changed", func(c *call) (map[string]any, error) {
				return map[string]any{"group_id": c.num(1, -1)}, nil
			}),
		},
		{
			name: "chmod", short: "Change permissions", args: []arg{selfs(name), word("octet")}, example: "chmod 7 640",
			run: flowAction("chmod", "Permissions changed", func(c *call) (map[string]any, error) {
				bits, err := octet(c.text(1))
				return map[string]any{"octet": octalText(bits)}, err
			}),
		},
		{
			name: "rename", short: "Rename", args: []arg{self(name), word("name")}, example: "rename 7 new-name",
			run: flowAction("rename", "renamed", func(c *call) (map[string]any, error) { return map[string]any{"name": c.text(1)}, nil }),
		},
	}
}

// octalText writes nine bits as three octal digits.
func octalText(bits []any) string {
	out := []byte{}
	for i := 0; i+2 < len(bits); i += 3 {
		d := 0
		for _, b := range bits[i : i+3] {
			d = d*2 + b.(int)
		}
		out = append(out, byte('0'+d))
	}
	return string(out)
}

// batchFlags spread an action over the VMs of a role.
func batchFlags(f *pflag.FlagSet) {
	text(f, "period", "p", "seconds between two groups of VMs; 0: all at once; default: the server's, 60")
	text(f, "number", "n", "number of VMs in a group; default: the server's, 1")
	text(f, "args", "", "arguments of the action, such as a snapshot's name")
}

// olderRoleActions are the names of releases up to 4.14; the server knows them.
var olderRoleActions = []string{"shutdown", "shutdown-hard", "delete", "boot"}

func batchParams(c *call, action string) (map[string]any, error) {
	if !slices.Contains(roleActions, action) && !slices.Contains(olderRoleActions, action) {
		return nil, fmt.Errorf("Action '%s' is not supported. Supported actions: %s", action, joined(roleActions))
	}
	p := map[string]any{}
	for _, flag := range []string{"period", "number"} {
		if s := c.str(flag); s != "" {
			n, ok := digits(s)
			if !ok {
				return nil, fmt.Errorf("%s: %q is not a number", flag, s)
			}
			p[flag] = n
		}
	}
	if s := c.str("args"); s != "" {
		p["args"] = s
	}
	return p, nil
}
