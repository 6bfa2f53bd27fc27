package gate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// action is what a guest may ask to be done to a VM.
type action struct {
	method string // of the core, for messages
	// alias is the action that it is under another name, which it is banned with.
	// The original compares names only.
	alias string
	// run does it; nil where this cloud cannot yet.
	run func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error
}

// actions is what "perform" may be. Of saveas, resize and chown the original's
// calls always fail, so they are not here. Source: OneGate reference §1.12.
var actions = map[string]action{
	"hold": plain("hold"), "release": plain("release"), "stop": plain("stop"), "suspend": plain("suspend"),
	"resume": plain("resume"), "resched": plain("resched"), "unresched": plain("unresched"),
	"terminate": hardly("terminate", ""), "poweroff": hardly("poweroff", ""), "reboot": hardly("reboot", ""),
	"undeploy": hardly("undeploy", ""), "shutdown": hardly("terminate", "terminate"),
	"delete": {method: "one.vm.action", alias: "terminate", run: plain("terminate-hard").run},
	"deploy": {method: "one.vm.deploy", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.DeployVM(ctx, u.owner, id, ParseID(p.text()), false, -1, nil)
	}},
	"rename": {method: "one.vm.rename", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.Rename(ctx, u.owner, one.KindVM, id, p.text())
	}},
	"chmod": {method: "one.vm.chmod", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		bits, ok := octal(p.text())
		if !ok {
			return errs.New(errs.API, "params: expected three octal digits, such as 640").About(id)
		}
		return c.Chmod(ctx, u.owner, one.KindVM, id, bits)
	}},
	"recover": {method: "one.vm.recover", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.RecoverVM(ctx, u.owner, id, ParseID(p.text()))
	}},
	"attachnic": attaches("one.vm.attachnic", (*cloud.Cloud).AttachNIC),
	"detachnic": {method: "one.vm.detachnic", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.DetachNIC(ctx, u.owner, id, ParseID(p.text()))
	}},
	"attachdisk": attaches("one.vm.attach", (*cloud.Cloud).AttachDisk),
	"detachdisk": {method: "one.vm.detach", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.DetachDisk(ctx, u.owner, id, ParseID(p.text()))
	}},
	"migrate": moves(false), "livemigrate": moves(true),
	"snapshot_create": {method: "one.vm.snapshotcreate", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		_, err := c.CreateSnapshot(ctx, u.owner, id, p.text())
		return err
	}},
	"snapshot_revert": onSnapshot("one.vm.snapshotrevert", (*cloud.Cloud).RevertSnapshot),
	"snapshot_delete": onSnapshot("one.vm.snapshotdelete", (*cloud.Cloud).DeleteSnapshot),
}

// plain is an action of one.vm.action without parameters.
func plain(name string) action {
	return action{method: "one.vm.action", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, _ param) error {
		return c.VMAction(ctx, u.owner, id, name)
	}}
}

// onSnapshot is an action on a snapshot. What is no number is refused, as by the
// original's core, and not taken for snapshot 0: what the guest did since is at stake.
func onSnapshot(method string, do func(c *cloud.Cloud, ctx context.Context, who auth.Caller, id, snap int) error) action {
	return action{method: method, run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		snap, ok := digits(p.text())
		if !ok {
			return errs.New(errs.API, "params: expected the id of a snapshot, such as 0").About(id)
		}
		return do(c, ctx, u.owner, id, snap)
	}}
}

// moves is a move to a host.
func moves(live bool) action {
	return action{method: "one.vm.migrate", run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		return c.MigrateVM(ctx, u.owner, id, ParseID(p.text()), cloud.Migration{Live: live, Datastore: -1})
	}}
}

// attaches is one whose parameter is the template of a device.
func attaches(method string, attach func(*cloud.Cloud, context.Context, auth.Caller, int, *tmpl.Template) error) action {
	return action{method: method, run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		t, err := tmpl.Parse(p.text())
		if err != nil {
			return errs.Wrap(errs.Internal, err).About(id)
		}
		return attach(c, ctx, u.owner, id, t)
	}}
}

// hardly is one that a parameter makes hard.
func hardly(name, alias string) action {
	return action{method: "one.vm.action", alias: alias, run: func(ctx context.Context, c *cloud.Cloud, u *Guest, id int, p param) error {
		if p.isTrue() {
			return c.VMAction(ctx, u.owner, id, name+"-hard")
		}
		return c.VMAction(ctx, u.owner, id, name)
	}}
}

// param is the parameter of an action: any JSON.
type param json.RawMessage

// isTrue tells what Ruby takes for true: all but null and false.
func (p param) isTrue() bool {
	s := string(p)
	return s != "" && s != "null" && s != "false"
}

// text returns a string, or a number as text.
func (p param) text() string {
	var s string
	if json.Unmarshal(p, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(p))
}

// octal reads permissions as three octal digits.
func octal(s string) (bits [9]int, ok bool) {
	if len(s) != 3 {
		return bits, false
	}
	for i := range 3 {
		d := s[i]
		if d < '0' || d > '7' {
			return bits, false
		}
		bits[3*i], bits[3*i+1], bits[3*i+2] = int(d>>2&1), int(d>>1&1), int(d&1)
	}
	return bits, true
}

// Act does to a VM that the guest may address what the JSON asks for:
// {"action":{"perform":"…","params":…}}. Source: OneGate reference §1.12.
func (u *Guest) Act(ctx context.Context, id int, body []byte) error {
	v, err := u.addressed(id)
	if err != nil {
		return err
	}
	perform, p, err := parseAction(body)
	if err != nil {
		return err
	}
	a, known := actions[perform]
	if name := lower(perform); u.gate.noActions[name] || a.alias != "" && u.gate.noActions[a.alias] {
		return refuse(http.StatusForbidden, "Action (%s) is not allowed on this resource", clip(perform))
	}
	switch {
	case !known:
		return refuse(http.StatusInternalServerError, "%s action not  available for this resource", clip(perform))
	case a.run == nil:
		return refuse(http.StatusInternalServerError, "[%s] not supported yet", a.method)
	}
	if err := a.run(ctx, u.gate.cloud, u, v.ID, p); err != nil {
		return coreError(http.StatusInternalServerError, a.method, err)
	}
	u.audit(ctx, "action", v, slog.String("action", perform))
	return nil
}

// errWrongJSON refuses JSON that is not what it should be, in the original's words.
var errWrongJSON = &Refusal{Status: http.StatusBadRequest, Text: "Error parsing JSON: Wrong resource type"}

// parseObject reads a JSON object.
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	var in map[string]json.RawMessage
	err := json.Unmarshal(body, &in)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) || err == nil && in == nil:
		return nil, errWrongJSON
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "Error parsing JSON: %s", err)
	}
	return in, nil
}

// parseAction reads the body of an action.
func parseAction(body []byte) (perform string, p param, err error) {
	in, err := parseObject(body)
	if err != nil {
		return "", nil, err
	}
	inner, err := parseObject(in["action"])
	if err != nil {
		return "", nil, errWrongJSON
	}
	if word, ok := inner["perform"]; ok && json.Unmarshal(word, &perform) != nil {
		return "", nil, refuse(http.StatusBadRequest, "perform: expected a string")
	}
	return perform, param(inner["params"]), nil
}

// ParseCardinality reads the body of a scaling: {"cardinality":4}, or "4" as the
// stock client has it.
func ParseCardinality(body []byte) (int, error) {
	in, err := parseObject(body)
	if err != nil {
		return 0, err
	}
	n, ok := digits(param(in["cardinality"]).text())
	if !ok || n > maxCardinality {
		return 0, refuse(http.StatusBadRequest, "cardinality: expected a number from 0 to %d", maxCardinality)
	}
	return n, nil
}

// maxCardinality is above what any service may have.
const maxCardinality = 1 << 20
