package flowapi

import (
	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
)

func listTemplates(q *request) (answer, error) { return shown(q.flow.Templates(q.who)) }

func showTemplate(q *request, id int) (answer, error) {
	return shown(q.flow.Template(q.who, id))
}

func createTemplate(q *request) (answer, error) {
	body, err := q.template()
	if err != nil {
		return answer{}, err
	}
	return made(q.flow.CreateTemplate(q.Context(), q.who, body))
}

func updateTemplate(q *request, id int) (answer, error) {
	body, err := q.template()
	if err != nil {
		return answer{}, err
	}
	return shown(q.flow.UpdateTemplate(q.Context(), q.who, id, body, false))
}

// deleteTemplate removes a template; a body that does not say what is to go with
// it says that nothing is. Source: OneFlow reference §1.2.
func deleteTemplate(q *request, id int) (answer, error) {
	text, err := q.body()
	if err != nil {
		return answer{}, err
	}
	kind := flow.DeleteNone
	if v, err := jsontree.Parse(text); err == nil && v.Get("delete_type").Kind == jsontree.String {
		kind = v.Get("delete_type").Text
	}
	return done, q.flow.DeleteTemplate(q.Context(), q.who, id, kind)
}

// templateAction does what a template is asked for. Unlike in the original, what
// the core refuses is refused, an unknown action too, and a new owner alone
// leaves the group. Source: OneFlow reference §1.4, §10.2.
func templateAction(q *request, id int, a action) (answer, error) {
	ctx := q.Context()
	switch a.name {
	case "instantiate":
		return made(q.flow.Instantiate(ctx, q.who, id, a.params.Get("merge_template")))
	case "clone":
		name, err := a.newName()
		if err != nil {
			return answer{}, err
		}
		recursive := a.params.Get("recursive")
		return made(q.flow.CloneTemplate(ctx, q.who, id, name, clones(recursive), recursive.Text == "all"))
	case "update":
		return done, q.changeTemplate(id, a)
	case "chown", "chgrp", "chmod", "rename":
		return done, q.describe(id, one.DocServiceTemplate, a, q.flow.ChownTemplate)
	}
	return answer{}, a.unsupported()
}

// clones tells whether VM templates are cloned with a template: unless the client
// says not to. Its false is understood, since that is what Go programs send.
func clones(v jsontree.Value) bool {
	return v.Present() && v.Text != "none"
}

// changeTemplate replaces a template, or lays top-level members over it.
func (q *request) changeTemplate(id int, a action) error {
	appended := a.params.Get("append").Present()
	if raw := a.params.Get("template_raw"); raw.Kind == jsontree.String {
		return q.flow.UpdateText(q.Context(), q.who, id, one.DocServiceTemplate, raw.Text, appended)
	}
	change, err := q.within(a.params.Get("template_json"), "action.params has no template_json and no template_raw")
	if err != nil {
		return err
	}
	_, err = q.flow.UpdateTemplate(q.Context(), q.who, id, change, appended)
	return err
}
