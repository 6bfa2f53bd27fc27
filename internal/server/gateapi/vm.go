package gateapi

import (
	"github.com/trifid-cloud/trifid/internal/gate"
)

// target returns the id of the VM that the request is about.
func (q *request) target(u *gate.Guest) int {
	if q.param == "" {
		return u.VM()
	}
	return gate.ParseID(q.param)
}

func showVM(q *request, u *gate.Guest) (*gate.Document, error) { return u.Show(q.target(u)) }

func watchVM(q *request, u *gate.Guest) (*gate.Watch, error) { return u.WatchVM(q.target(u)) }

// updateVM changes a user template: by the parameters data and type, else the
// body is the text. In the original a text that looks like a form with a type is
// taken for one as well; here only data makes the body a form.
// Source: OneGate reference §1.11.
func updateVM(q *request, u *gate.Guest) error {
	p, err := q.params()
	if err != nil {
		return err
	}
	data, isForm := p.lookup("data")
	if !isForm {
		data, p.form, p.parts = p.body, nil, nil
	}
	kind := gate.Append
	if s, ok := p.lookup("type"); ok {
		kind = gate.ParseID(string(s))
	}
	return u.Update(q.Context(), q.target(u), data, kind)
}

// updateVM4 does so as 4.2 to 4.12 did: the body is the text.
func updateVM4(q *request, u *gate.Guest) error {
	body, err := q.body()
	if err != nil {
		return err
	}
	return u.Update(q.Context(), u.VM(), body, gate.Append)
}

// links says where the documents of a guest are. Source: OneGate reference §1.6.
func links(q *request) (*gate.Document, error) {
	scheme := "http"
	if q.TLS != nil {
		scheme = "https"
	}
	return q.api.gate.Links(scheme + "://" + q.Host), nil
}
