package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/one"
)

// role is what a panel shows of a role. Numbers may be strings in documents of
// older servers.
type role struct {
	Name        string          `json:"name"`
	Parents     []string        `json:"parents"`
	State       number64        `json:"state"`
	TemplateID  *number64       `json:"template_id"`
	VMTemplate  *number64       `json:"vm_template"`
	Cardinality number64        `json:"cardinality"`
	MinVMs      *number64       `json:"min_vms"`
	MaxVMs      *number64       `json:"max_vms"`
	Cooldown    *number64       `json:"cooldown"`
	Shutdown    string          `json:"shutdown_action"`
	Elasticity  []policy        `json:"elasticity_policies"`
	Scheduled   []policy        `json:"scheduled_policies"`
	Nodes       []node          `json:"nodes"`
	Unused      json.RawMessage `json:"-"`
}

type policy struct {
	Type          string    `json:"type"`
	Adjust        number64  `json:"adjust"`
	MinAdjustStep *number64 `json:"min_adjust_step"`
	Expression    string    `json:"expression"`
	Evaluated     string    `json:"expression_evaluated"`
	PeriodNumber  *number64 `json:"period_number"`
	Period        *number64 `json:"period"`
	Cooldown      *number64 `json:"cooldown"`
	TrueEvals     number64  `json:"true_evals"`
	Recurrence    string    `json:"recurrence"`
	StartTime     any       `json:"start_time"`
}

type node struct {
	DeployID number64 `json:"deploy_id"`
	ScaleUp  number64 `json:"scale_up"`
	Disposed number64 `json:"disposed"`
	Info     *struct {
		VM struct{ ID, UNAME, GNAME, NAME string }
	} `json:"vm_info"`
}

// number64 is a whole number that may be written as a string.
type number64 int64

func (n *number64) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil {
		return nil // absent or of another form: shown as 0
	}
	*n = number64(v)
	return nil
}

func (n *number64) text(unit string) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(int64(*n), 10) + unit
}

// showService prints a service. Source: OneFlow reference §7.4.
func showService(c *call, d document) error {
	p := c.panel(20)
	p.Title("SERVICE %s INFORMATION", d.ID)
	c.documentFields(p, d)
	p.Field("STRATEGY", d.body.Deployment)
	p.Field("SERVICE STATE", d.body.State.String())
	if d.body.StartTime != 0 {
		p.Field("START TIME", c.time(d.body.StartTime, render.Seconds))
	}
	p.FieldIf("SHUTDOWN", d.body.ShutdownAction)
	p.Blank()
	c.documentPermissions(p, d)
	for _, r := range d.body.Roles {
		p.Blank()
		if err := c.showRole(p, r); err != nil {
			return err
		}
	}
	if err := c.showActions(p, d.body.Actions); err != nil {
		return err
	}
	p.Blank()
	p.Section("LOG MESSAGES")
	for _, l := range d.body.Log {
		p.Printf("%s [%s] %s\n", c.time(l.Timestamp, render.Year), l.Severity, l.Message)
	}
	return nil
}

// showActions prints the actions that are not done yet, if there are any; their ids
// are those of sched-delete.
func (c *call) showActions(p render.Panel, actions []pendingAction) error {
	if len(actions) == 0 {
		return nil
	}
	col := func(name string, size int, left bool, value func(a pendingAction) string) render.Column[pendingAction] {
		return render.Column[pendingAction]{Name: name, Size: size, Left: left, Value: value}
	}
	p.Blank()
	p.Section("SCHEDULED ACTIONS")
	return render.Table[pendingAction]{Columns: []render.Column[pendingAction]{
		col("ID", 4, false, func(a pendingAction) string { return a.ID.text("") }),
		col("ROLE", 16, true, func(a pendingAction) string { return a.Role }),
		col("VM_ID", 6, false, func(a pendingAction) string { return a.VM.text("") }),
		col("ACTION", 20, true, func(a pendingAction) string { return a.Action }),
		col("TIME", 15, false, func(a pendingAction) string { return c.time(int64(a.Time), render.Seconds) }),
		col("MESSAGE", 40, true, func(a pendingAction) string { return a.Message }),
	}}.Print(p.Screen, actions, render.Layout{})
}

func (c *call) documentFields(p render.Panel, d document) {
	p.Field("ID", d.ID)
	p.Field("NAME", d.Name)
	p.Field("USER", d.UNAME)
	p.Field("GROUP", d.GNAME)
}

func (c *call) documentPermissions(p render.Panel, d document) {
	p.Section("PERMISSIONS")
	for _, class := range []string{"OWNER", "GROUP", "OTHER"} {
		mask := []byte("---")
		for i, right := range "UMA" {
			if d.PERMISSIONS[class+"_"+string(right)] == "1" {
				mask[i] = "uma"[i]
			}
		}
		p.Field(class, string(mask))
	}
}

func (c *call) showRole(p render.Panel, r role) error {
	p.Section("ROLE %s", r.Name)
	p.Field("ROLE STATE", one.RoleState(r.State).String())
	p.FieldIf("PARENTS", strings.Join(r.Parents, ", "))
	template := r.TemplateID
	if template == nil {
		template = r.VMTemplate
	}
	p.Field("VM TEMPLATE", strings.TrimPrefix(template.text(""), "-"))
	p.Field("CARDINALITY", r.Cardinality.text(""))
	if r.MinVMs != nil {
		p.Field("MIN VMS", r.MinVMs.text(""))
	}
	if r.MaxVMs != nil {
		p.Field("MAX VMS", r.MaxVMs.text(""))
	}
	if r.Cooldown != nil {
		p.Field("COOLDOWN", r.Cooldown.text("s"))
	}
	p.FieldIf("SHUTDOWN", r.Shutdown)
	if err := c.showPolicies(p, r); err != nil {
		return err
	}
	p.Section("NODES INFORMATION")
	vm := func(name string, size int, left bool, value func(n node) string) render.Column[node] {
		return render.Column[node]{Name: name, Size: size, Left: left, Value: value}
	}
	id := vm("VM_ID", 6, false, node.id)
	id.Adjust = true
	return render.Table[node]{Columns: []render.Column[node]{
		id,
		vm("NAME", 24, true, func(n node) string { return n.vm().NAME }),
		vm("USER", 15, true, func(n node) string { return n.vm().UNAME }),
		vm("GROUP", 15, true, func(n node) string { return n.vm().GNAME }),
	}}.Print(p.Screen, r.Nodes, render.Layout{})
}

// id is the VM's id, with an arrow while the VM comes or goes by scaling.
func (n node) id() string {
	switch id := n.DeployID.text(""); {
	case n.Disposed != 0:
		return "↓ " + id
	case n.ScaleUp != 0:
		return "↑ " + id
	default:
		return id
	}
}

// vm is what is known of a node's VM, which may be nothing.
func (n node) vm() struct{ ID, UNAME, GNAME, NAME string } {
	if n.Info == nil {
		return struct{ ID, UNAME, GNAME, NAME string }{NAME: "-", UNAME: "-", GNAME: "-"}
	}
	return n.Info.VM
}

func (c *call) showPolicies(p render.Panel, r role) error {
	col := func(name string, size int, left bool, value func(q policy) string) render.Column[policy] {
		return render.Column[policy]{Name: name, Size: size, Left: left, Value: value}
	}
	if len(r.Elasticity) > 0 {
		p.Blank()
		p.Section("ROLE ELASTICITY")
		if err := (render.Table[policy]{Columns: []render.Column[policy]{
			col("ADJUST", 12, true, policy.adjustment),
			col("EXPRESSION", 48, true, func(q policy) string {
				if q.Evaluated != "" {
					return q.Evaluated
				}
				return q.Expression
			}),
			col("EVALS", 5, false, func(q policy) string {
				if q.PeriodNumber == nil {
					return "-"
				}
				return fmt.Sprintf("%d/%d", q.TrueEvals, *q.PeriodNumber)
			}),
			col("PERIOD", 6, false, func(q policy) string { return q.Period.text("s") }),
			col("COOL", 5, false, func(q policy) string { return q.Cooldown.text("s") }),
		}}).Print(p.Screen, r.Elasticity, render.Layout{}); err != nil {
			return err
		}
		p.Blank()
	}
	if len(r.Scheduled) > 0 {
		p.Blank()
		p.Section("ROLE ELASTICITY SCHEDULE")
		if err := (render.Table[policy]{Columns: []render.Column[policy]{
			col("ADJUST", 12, true, policy.adjustment),
			col("TIME", 67, true, func(q policy) string { return q.when(c.io.Zone) }),
		}}).Print(p.Screen, r.Scheduled, render.Layout{}); err != nil {
			return err
		}
		p.Blank()
	}
	return nil
}

// adjustment writes what a policy does: "+ 2", "= 6", "- 10 % (2)".
func (q policy) adjustment() string {
	sign, amount := "+", int64(q.Adjust)
	if amount < 0 {
		sign, amount = "-", -amount
	}
	switch q.Type {
	case "CARDINALITY":
		return fmt.Sprintf("= %d", int64(q.Adjust))
	case "PERCENTAGE_CHANGE":
		s := fmt.Sprintf("%s %d %%", sign, amount)
		if q.MinAdjustStep != nil {
			s += fmt.Sprintf(" (%d)", *q.MinAdjustStep)
		}
		return s
	}
	return fmt.Sprintf("%s %d", sign, amount)
}

// when is the time of a scheduled policy: a rule, a text or an epoch.
func (q policy) when(zone *time.Location) string {
	switch t := q.StartTime.(type) {
	case string:
		return t
	case float64:
		return time.Unix(int64(t), 0).In(zone).Format("2006-01-02 15:04:05 -0700")
	}
	return q.Recurrence
}
