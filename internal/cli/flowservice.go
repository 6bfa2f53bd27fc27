package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/one"
)

func flowNoun() *noun {
	n := &noun{cmd: "oneflow", alias: "flow", short: "Manage services", pool: servicePool, flow: true}
	n.verbs = append([]verb{
		withDone(n.flowList(serviceTable, undone)),
		withDone(n.flowTop(serviceTable, undone, showService)),
		n.flowShow("service", showService),
		eventsVerb(),
		simulateVerb("service", "simulate web load.csv\nsimulate web --until 24h --start '2026-01-31 00:00:00'\nsimulate web load.csv --template new.json --html web.html"),
		{
			name: "delete", short: "Shut services down and delete them", args: []arg{selfs("service")}, example: "delete 7",
			run: undeployServices,
		},
		{
			name: "shutdown", short: "Shut services down and delete them, as delete", args: []arg{selfs("service")}, example: "shutdown 7",
			long: "The name that delete has up to 5.10.", run: undeployServices,
		},
		{
			name: "recover", short: "Recover failed services", args: []arg{selfs("service")}, example: "recover 7\nrecover 7 --delete",
			flags: func(f *pflag.FlagSet) { boolean(f, "delete", "", "delete the service, whatever its state") },
			run: flowAction("recover", "recovered", func(c *call) (map[string]any, error) {
				if c.flag("delete") {
					return map[string]any{"delete": true}, nil
				}
				return map[string]any{}, nil
			}),
		},
		{
			name: "scale", short: "Change the number of VMs of a role", args: []arg{self("service"), word("role_name"), word("cardinality")},
			example: "scale web worker 4", run: scale,
			flags: func(f *pflag.FlagSet) { boolean(f, "force", "f", "even outside the role's limits") },
		},
		{
			name: "release", short: "Release the roles on hold", args: []arg{selfs("service")}, example: "release 7",
			run: flowAction("release", "released", nil),
		},
		{
			name: "action", short: "Act upon the VMs of a role", args: []arg{self("service"), word("role_name"), word("vm_action")}, flags: batchFlags,
			long: "The actions are " + joined(roleActions) + ".", example: "action web worker poweroff --period 60 --number 2",
			run: func(c *call) error {
				p, err := batchParams(c, c.text(2))
				if err != nil {
					return err
				}
				return c.every("Action performed", func(id int) error {
					_, err := c.perform(c.path(id, "/role/"+url.PathEscape(c.text(1))+"/action"), c.text(2), p)
					return err
				})
			},
		},
		{
			name: "update", short: "Change a running service", args: []arg{self("service"), file}, flags: appendFlags, example: "update 7 service.json",
			long: "The JSON comes from a file, else from standard input, else from an editor.", run: flowUpdateService,
		},
		{
			name: "add-role", short: "Add a role", args: []arg{self("service"), file}, example: "add-role 7 role.json",
			run: func(c *call) error {
				t, err := c.edit(1, func() (string, error) { return "", nil })
				if err != nil {
					return err
				}
				role, err := c.source(1, t)
				if err != nil {
					return err
				}
				return role.sendEvery(c, "Role added", http.MethodPost, "/role_action", `{"action":{"perform":"add_role","params":{"add":true,"role":`, "}}}")
			},
		},
		{
			name: "remove-role", short: "Remove a role", args: []arg{self("service"), word("role_name")}, example: "remove-role 7 worker",
			run: func(c *call) error {
				return c.every("Role removed", func(id int) error {
					_, err := c.perform(c.path(id, "/role_action"), "remove_role", map[string]any{"role": c.text(1), "add": false})
					return err
				})
			},
		},
		{
			name: "sched-delete", short: "Delete a scheduled action of a role", args: []arg{self("service"), word("role_name"), word("sched_id")},
			example: "sched-delete 7 worker 3",
			run: func(c *call) error {
				return c.every("Scheduled action deleted", func(id int) error {
					_, err := c.request(http.MethodDelete, c.path(id, "/role/"+url.PathEscape(c.text(1))+"/sched_action/"+url.PathEscape(c.text(2))), nil)
					return err
				})
			},
		},
		{
			name: "purge-done", short: "Delete the services that are done", example: "purge-done",
			run: func(c *call) error {
				_, err := c.request(http.MethodPost, "/service_pool/purge_done", nil)
				return err
			},
		},
	}, flowOwnedVerbs("service")...)
	n.groups = []group{{name: "service", short: "Act upon all roles of a service", verbs: []verb{
		{
			name: "action", short: "Act upon the VMs of every role", args: []arg{self("service"), word("vm_action")}, flags: batchFlags,
			example: "action web poweroff",
			run: func(c *call) error {
				p, err := batchParams(c, c.text(1))
				if err != nil {
					return err
				}
				return c.every("Action performed", func(id int) error {
					_, err := c.perform(c.path(id, "/action"), c.text(1), p)
					return err
				})
			},
		},
		{
			name: "sched-delete", short: "Delete a scheduled action of every role", args: []arg{self("service"), word("sched_id")}, example: "sched-delete web 3",
			run: func(c *call) error {
				return c.every("Scheduled action deleted", func(id int) error {
					_, err := c.request(http.MethodDelete, c.path(id, "/sched_action/"+url.PathEscape(c.text(1))), nil)
					return err
				})
			},
		},
	}}}
	return n
}

// undone lets through what list shows without --done.
func undone(c *call, d document) bool { return c.flag("done") || d.body.State != one.ServiceDone }

// withDone gives a listing of services the flag of 5.12.
func withDone(v verb) verb {
	flags := v.flags
	v.flags = func(f *pflag.FlagSet) {
		flags(f)
		boolean(f, "done", "", "services in DONE too")
	}
	return v
}

func undeployServices(c *call) error {
	return c.every("deleted", func(id int) error {
		_, err := c.request(http.MethodDelete, c.path(id, ""), nil)
		return err
	})
}

func scale(c *call) error {
	n, ok := digits(c.text(2))
	if !ok {
		return fmt.Errorf("Cardinality must be an integer number")
	}
	body := map[string]any{"role_name": c.text(1), "cardinality": n, "force": c.flag("force")}
	return c.every("scaled", func(id int) error {
		_, err := c.request(http.MethodPost, c.path(id, "/scale"), body)
		return err
	})
}

func flowUpdateService(c *call) error {
	t, err := c.edit(1, func() (string, error) { return c.bodyText(c.subjects()[0]) })
	if err != nil {
		return err
	}
	body, err := c.source(1, t)
	if err != nil {
		return err
	}
	if !c.flag("append") {
		return body.sendEvery(c, "Service updated", http.MethodPut, "", "", "")
	}
	return c.every("Service updated", func(id int) error {
		_, err := c.request(http.MethodPut, c.path(id, ""), map[string]any{"append": true, "template": body.text})
		return body.blame(err, 0)
	})
}

// bodyText renders the BODY of a document for the editor.
func (c *call) bodyText(id int) (string, error) {
	d, err := c.document(id)
	if err != nil {
		return "", err
	}
	return indented(d.TEMPLATE.BODY)
}

func indented(raw json.RawMessage) (string, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return "", fmt.Errorf("read the server's answer: %w", err)
	}
	return b.String(), nil
}

type documentTable func(c *call) render.Table[document]

// flowList lists documents; with --json those that keep lets through as a bare
// array, as the original does. Source: OneFlow reference §7.4.
func (n *noun) flowList(table documentTable, keep func(*call, document) bool) verb {
	v := n.listVerb()
	v.example = "list\nlist --csv\nlist --json"
	v.run = func(c *call) error {
		t := table(c)
		if c.flag("describe") {
			t.Describe(c.out)
			return nil
		}
		if c.flag("yaml") {
			answer, err := c.request(http.MethodGet, c.noun.pool.object, nil)
			if err != nil {
				return err
			}
			return render.RawYAML(c.out, answer)
		}
		docs, err := c.kept(keep)
		if err != nil {
			return err
		}
		if c.flag("json") {
			if len(docs) == 0 {
				return nil
			}
			raws := make([]json.RawMessage, len(docs))
			for i, d := range docs {
				raws[i] = d.raw
			}
			all, err := json.Marshal(raws)
			if err != nil {
				return fmt.Errorf("write JSON: %w", err)
			}
			return render.RawJSON(c.out, all)
		}
		l, err := c.layout()
		if err != nil {
			return err
		}
		return t.Print(c.out, docs, l)
	}
	return v
}

// flowTop lists documents again and again; where there is a panel to show it
// does the same with one of them. Source: OneFlow reference §7.2.
func (n *noun) flowTop(table documentTable, keep func(*call, document) bool, show func(c *call, d document) error) verb {
	v := n.topVerb()
	if show != nil {
		v.args = []arg{optional(self("service"))}
		v.example += "\ntop web"
		v.long = "With a service its panel is shown instead: the counters of its policies, and the VMs that come (↑) and go (↓)."
	}
	v.run = func(c *call) error {
		if c.given(0) {
			return c.again(func() error {
				d, err := c.document(c.subjects()[0])
				if err != nil {
					return err
				}
				c.out.Clear()
				return show(c, d)
			})
		}
		l, err := c.layout()
		if err != nil {
			return err
		}
		return c.again(func() error {
			docs, err := c.kept(keep)
			if err != nil {
				return err
			}
			c.out.Clear()
			return table(c).Print(c.out, docs, l)
		})
	}
	return v
}

func (c *call) kept(keep func(*call, document) bool) ([]document, error) {
	all, err := c.documents(&c.noun.pool)
	if err != nil {
		return nil, err
	}
	var out []document
	for _, d := range all {
		if keep(c, d) {
			out = append(out, d)
		}
	}
	return out, nil
}

func (n *noun) flowShow(name string, show func(c *call, d document) error) verb {
	v := n.showVerb(name, false, nil)
	v.flags = n.formatFlags
	v.run = func(c *call) error {
		d, err := c.document(c.subjects()[0])
		switch {
		case err != nil:
			return err
		case c.flag("json"):
			return render.RawJSON(c.out, d.raw)
		case c.flag("yaml"):
			return render.RawYAML(c.out, d.raw)
		}
		return show(c, d)
	}
	return v
}

// documentColumns are those that services and templates share.
func documentColumns(c *call) []render.Column[document] {
	user, group := func(d document) string { return d.UNAME }, func(d document) string { return d.GNAME }
	if c.flag("numeric") {
		user, group = func(d document) string { return d.UID }, func(d document) string { return d.GID }
	}
	return []render.Column[document]{
		{Name: "ID", Desc: "number of the object", Size: 4, Adjust: true, Value: func(d document) string { return d.ID }},
		{Name: "USER", Desc: "owner", Size: 8, Left: true, Value: user},
		{Name: "GROUP", Desc: "group", Size: 8, Left: true, Value: group},
		{Name: "NAME", Desc: "name", Size: 15, Left: true, Expand: true, Value: func(d document) string { return d.Name }},
	}
}

func serviceTable(c *call) render.Table[document] {
	return render.Table[document]{Columns: append(documentColumns(c),
		render.Column[document]{Name: "STARTTIME", Desc: "time it was started", Size: 15, Value: func(d document) string {
			return c.time(d.body.StartTime, render.Seconds)
		}},
		render.Column[document]{Name: "STAT", Desc: "state", Size: 8, Left: true, Adjust: true, State: true, Value: func(d document) string {
			return d.body.State.String()
		}},
	)}
}
