package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
)

func flowTemplateNoun() *noun {
	n := &noun{cmd: "oneflow-template", alias: "flow-template", short: "Manage templates of services", pool: serviceTemplatePool, flow: true}
	all := func(*call, document) bool { return true }
	n.verbs = append([]verb{
		n.flowList(serviceTemplateTable, all), n.flowTop(serviceTemplateTable, all, nil), n.flowShow("service_template", showServiceTemplate),
		simulateVerb("service_template", "simulate shop load.csv\nsimulate shop load.csv --boot 90s --svg shop.svg\nsimulate shop --until 24h"),
		{
			name: "create", short: "Register a template", args: []arg{file}, example: "create web.json", flags: func(f *pflag.FlagSet) { boolean(f, "json", "j", "print the whole answer") },
			long: "The JSON comes from a file or from standard input.",
			run: func(c *call) error {
				t, ok, err := c.template(0)
				if err != nil {
					return err
				}
				if !ok {
					return errNoTemplate
				}
				body, err := c.source(0, t)
				if err != nil {
					return err
				}
				answer, err := body.send(c, http.MethodPost, c.noun.pool.object, "", "")
				return c.createdDocument(answer, err)
			},
		},
		{
			name: "delete", short: "Delete templates", args: []arg{selfs("service_template")}, example: "delete 3\ndelete 3 --delete-vm-templates",
			flags: func(f *pflag.FlagSet) {
				boolean(f, "delete-vm-templates", "", "the VM templates of the roles too")
				boolean(f, "delete-images", "", "the VM templates and their images too")
			},
			run: func(c *call) error {
				body := map[string]any{"delete_type": "none"}
				if c.flag("delete-images") {
					body["delete_type"] = "all"
				} else if c.flag("delete-vm-templates") {
					body["delete_type"] = "templates"
				}
				return c.every("deleted", func(id int) error {
					_, err := c.request(http.MethodDelete, c.path(id, ""), body)
					return err
				})
			},
		},
		{
			name: "instantiate", short: "Create services from a template", args: []arg{self("service_template"), file},
			long:    "What the file or standard input says is merged into the template. User inputs and networks without a value are asked for.",
			example: "instantiate web\ninstantiate web values.json --multiple 2",
			flags: func(f *pflag.FlagSet) {
				number(f, "multiple", "m", 1, "number of services")
				boolean(f, "json", "j", "print the whole answer")
			},
			run: instantiateService,
		},
		{
			name: "clone", short: "Copy a template", args: []arg{self("service_template"), word("name")}, example: "clone 3 web-copy",
			flags: func(f *pflag.FlagSet) {
				boolean(f, "recursive-templates", "", "the VM templates of the roles too")
				boolean(f, "recursive", "R", "the VM templates and their images too")
			},
			run: func(c *call) error {
				depth := "none"
				if c.flag("recursive") {
					depth = "all"
				} else if c.flag("recursive-templates") {
					depth = "templates"
				}
				answer, err := c.perform(c.path(c.subjects()[0], "/action"), "clone", map[string]any{"name": c.text(1), "recursive": depth})
				return c.createdDocument(answer, err)
			},
		},
		{
			name: "update", short: "Change a template", args: []arg{self("service_template"), file}, flags: appendFlags, example: "update 3 web.json",
			long: "The JSON comes from a file, else from standard input, else from an editor.", run: updateServiceTemplate,
		},
	}, flowOwnedVerbs("service_template")...)
	return n
}

// createdDocument prints the id of a new document, or with --json all of it.
func (c *call) createdDocument(answer []byte, err error) error {
	if err != nil {
		return err
	}
	if c.flag("json") {
		return render.RawJSON(c.out, answer)
	}
	var envelope struct {
		Document struct{ ID string } `json:"DOCUMENT"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	c.out.Println("ID: " + envelope.Document.ID)
	return nil
}

// updateServiceTemplate replaces a template, or adds its top-level keys.
func updateServiceTemplate(c *call) error {
	t, err := c.edit(1, func() (string, error) { return c.bodyText(c.subjects()[0]) })
	if err != nil {
		return err
	}
	body, err := c.source(1, t)
	if err != nil {
		return err
	}
	if !c.flag("append") {
		return body.sendEvery(c, "updated", http.MethodPut, "", "", "")
	}
	return c.every("updated", func(id int) error {
		_, err := c.perform(c.path(id, "/action"), "update", map[string]any{"append": true, "template_json": body.text})
		return body.blame(err, 0)
	})
}

func serviceTemplateTable(c *call) render.Table[document] {
	return render.Table[document]{Columns: append(documentColumns(c),
		render.Column[document]{Name: "REGTIME", Desc: "time of registration", Size: 15, Value: func(d document) string {
			return c.time(d.body.RegistrationTime, render.Seconds)
		}},
	)}
}

func showServiceTemplate(c *call, d document) error {
	p := c.panel(20)
	p.Title("SERVICE TEMPLATE %s INFORMATION", d.ID)
	c.documentFields(p, d)
	if d.body.RegistrationTime != 0 {
		p.Field("REGISTRATION TIME", c.time(d.body.RegistrationTime, render.Seconds))
	}
	p.Blank()
	c.documentPermissions(p, d)
	p.Blank()
	p.Section("TEMPLATE CONTENTS")
	text, err := indented(d.TEMPLATE.BODY)
	if err != nil {
		return err
	}
	p.Println(text)
	return nil
}

func instantiateService(c *call) error {
	id := c.subjects()[0]
	merge, said, err := c.mergeTemplate()
	if err != nil {
		return err
	}
	var answers any
	if !said {
		d, err := c.document(id)
		if err != nil {
			return err
		}
		if answers, err = c.serviceAnswers(d); err != nil {
			return err
		}
	}
	return c.times(func(int) error {
		if said {
			answer, err := merge.send(c, http.MethodPost, c.path(id, "/action"), `{"action":{"perform":"instantiate","params":{"merge_template":`, "}}}")
			return c.createdDocument(answer, err)
		}
		params := map[string]any{}
		if answers != nil {
			params["merge_template"] = answers
		}
		answer, err := c.perform(c.path(id, "/action"), "instantiate", params)
		return c.createdDocument(answer, err)
	})
}

// mergeTemplate is what a file or standard input holds; false if there is neither.
func (c *call) mergeTemplate() (source, bool, error) {
	t, err := "", error(nil)
	if c.given(1) {
		t, err = c.readFile(c.text(1))
	} else {
		t, err = c.stdinIfAny()
	}
	if err != nil || !c.given(1) && strings.TrimSpace(t) == "" {
		return source{}, false, err
	}
	s, err := c.source(1, t)
	return s, true, err
}

// questions are what a template leaves open. Source: OneFlow reference §2.5.
type questions struct {
	Inputs    map[string]string `json:"user_inputs"`
	Values    map[string]any    `json:"user_inputs_values"`
	OldInputs map[string]string `json:"custom_attrs"`
	OldValues map[string]any    `json:"custom_attrs_values"`
	Networks  map[string]string `json:"networks"`
	Roles     []struct {
		Name   string            `json:"name"`
		Inputs map[string]string `json:"user_inputs"`
		Values map[string]any    `json:"user_inputs_values"`
	} `json:"roles"`
}

// serviceAnswers are the answers to a template's questions, nil when it has none.
func (c *call) serviceAnswers(d document) (any, error) {
	var q questions
	if err := json.Unmarshal(d.TEMPLATE.BODY, &q); err != nil {
		return nil, fmt.Errorf("read document %s: %w", d.ID, err)
	}
	merge := map[string]any{}
	for _, of := range []struct {
		key    string
		inputs map[string]string
		values map[string]any
	}{{"user_inputs_values", q.Inputs, q.Values}, {"custom_attrs_values", q.OldInputs, q.OldValues}} {
		answers, err := c.answers(of.inputs, of.values)
		if err != nil {
			return nil, err
		}
		if answers != nil {
			merge[of.key] = answers
		}
	}
	var roles []any
	for _, r := range q.Roles {
		answers, err := c.answers(r.Inputs, r.Values)
		if err != nil {
			return nil, err
		}
		if answers != nil {
			roles = append(roles, map[string]any{"name": r.Name, "user_inputs_values": answers})
		}
	}
	if roles != nil {
		merge["roles"] = roles
	}
	networks, err := c.networkAnswers(q.Networks)
	if err != nil {
		return nil, err
	}
	if networks != nil {
		merge["networks_values"] = networks
	}
	if len(merge) == 0 {
		return nil, nil
	}
	return merge, nil
}

// answers asks for user inputs in the order of their names. What the template has
// as a value already is offered, and stands where there is nobody to ask.
func (c *call) answers(inputs map[string]string, values map[string]any) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range sortedKeys(inputs) {
		in, err := parseInput(name, inputs[name])
		if err != nil {
			return nil, err
		}
		value, given := values[name]
		switch {
		case given && !c.canAsk():
			continue
		case given && in.kind != "text64": // which is written down encoded
			in.initial = fmt.Sprint(value)
		case !given && !c.canAsk() && in.initial == "" && in.mandatory:
			return nil, fmt.Errorf("user input %s has no value: give a file with user_inputs_values", name)
		}
		if out[name], err = c.askInput(in); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// networkAnswers asks which network each of the template's is. Without somebody
// to ask the server takes the template's defaults.
func (c *call) networkAnswers(networks map[string]string) ([]any, error) {
	if len(networks) == 0 || !c.canAsk() {
		return nil, nil
	}
	var out []any
	for _, name := range sortedKeys(networks) {
		c.errs.Printf("  * (%s) %s\n", name, describe(networks[name]))
		kind, err := c.ask("    TYPE Existing(1), Create(2), Reserve(3). Press enter for default (1): ")
		if err != nil {
			return nil, err
		}
		key, ok := map[string]string{"": "id", "1": "id", "2": "template_id", "3": "reserve_from"}[strings.TrimSpace(kind)]
		if !ok {
			return nil, fmt.Errorf("network %s: %q is not 1, 2 or 3", name, kind)
		}
		id, err := c.ask("    ID: ")
		if err != nil {
			return nil, err
		}
		if _, ok := digits(strings.TrimSpace(id)); !ok {
			return nil, fmt.Errorf("network %s: %q is not an id", name, id)
		}
		value := map[string]string{key: strings.TrimSpace(id)}
		if key != "id" {
			if value["extra"], err = c.ask("    EXTRA (press enter for none): "); err != nil {
				return nil, err
			}
		}
		out = append(out, map[string]any{name: value})
	}
	return out, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// describe returns the description of a network of a template.
func describe(network string) string {
	parts := strings.Split(network, "|")
	if len(parts) > 2 {
		return parts[2]
	}
	return strconv.Quote(network)
}
