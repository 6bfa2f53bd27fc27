package onegate

import (
	"context"
	"net/http"
	"net/url"
	"slices"
)

// vmActions are the second words that act on a VM; the last two are those of
// 4.x. Source: OneGate reference §4.2.
var vmActions = [...]string{
	"resume", "stop", "suspend", "terminate", "reboot", "poweroff", "resched", "unresched", "hold", "release",
	"delete", "shutdown",
}

func (a *app) vm(ctx context.Context, o *options) error {
	path := "/vm"
	if id := o.word(2); id != "" {
		path = "/vms/" + url.PathEscape(id)
	}
	switch action := o.word(1); {
	case action == "show":
		return a.show(ctx, o, path, "", func(p *printer, doc *value) { p.vm(doc, false) })
	case action == "update":
		return a.update(ctx, o, path)
	case slices.Contains(vmActions[:], action):
		return a.act(ctx, o, path)
	}
	return unsupported(o)
}

func (a *app) update(ctx context.Context, o *options, path string) error {
	if !o.has("data") {
		return failed("You have to provide the data as a param (--data, --erase)")
	}
	return a.send(ctx, http.MethodPut, path, typeForm, form(o.given...))
}

func (a *app) act(ctx context.Context, o *options, path string) error {
	if o.word(2) == "" {
		return failed("You have to provide a VM ID")
	}
	params := ""
	if o.has("hard") {
		params = `,"params":true`
	}
	return a.send(ctx, http.MethodPost, path+"/action", typeJSON, `{"action":{"perform":`+quote(o.word(1))+params+`}}`)
}

func (a *app) service(ctx context.Context, o *options) error {
	switch o.word(1) {
	case "show":
		return a.show(ctx, o, "/service", extended(o), func(p *printer, doc *value) { p.service(doc, o.has("extended")) })
	case "scale":
		role, ok := o.get("role")
		if !ok {
			return broken("missing option: --role ROLE")
		}
		cardinality, ok := o.get("cardinality")
		if !ok {
			return broken("missing option: --cardinality N")
		}
		// The number goes as a string and the body as a form: so does the reference's.
		return a.send(ctx, http.MethodPut, "/service/role/"+url.PathEscape(role), typeForm, `{"cardinality":`+quote(cardinality)+`}`)
	}
	return unsupported(o)
}

func (a *app) vrouter(ctx context.Context, o *options) error {
	if o.word(1) != "show" {
		return unsupported(o)
	}
	return a.show(ctx, o, "/vrouter", extended(o), (*printer).vrouter)
}

func (a *app) vnet(ctx context.Context, o *options) error {
	if o.word(1) != "show" {
		return unsupported(o)
	}
	if o.word(2) == "" {
		return failed("You have to provide a VNET ID")
	}
	return a.show(ctx, o, "/vnet/"+url.PathEscape(o.word(2)), extended(o), (*printer).vnet)
}

// extended is the body of a GET that asks for more.
func extended(o *options) string {
	if o.has("extended") {
		return form(setting{"extended", "true"})
	}
	return ""
}

// show gets a document and prints it: whole with --json, else as print does.
func (a *app) show(ctx context.Context, o *options, path, body string, print func(*printer, *value)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	contentType := ""
	if body != "" {
		contentType = typeForm
	}
	res, err := c.do(ctx, http.MethodGet, path, contentType, body)
	if err != nil {
		return err
	}
	doc, err := parseJSON(res.body)
	if err != nil {
		return broken("the server's answer: %v", err)
	}
	p := &printer{terminal: a.terminal}
	if o.has("json") {
		doc.pretty(&p.out, "")
		p.out.WriteByte('\n')
	} else {
		print(p, doc)
	}
	_, err = a.stdout.Write(p.out.Bytes())
	return err
}

// send makes a request whose answer has no content.
func (a *app) send(ctx context.Context, method, path, contentType, body string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	_, err = c.do(ctx, method, path, contentType, body)
	return err
}
