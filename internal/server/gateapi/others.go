package gateapi

import (
	"bytes"

	"github.com/trifid-cloud/trifid/internal/gate"
)

// actOnVM reads the body whatever its type: JSON comes labelled as a form.
func actOnVM(q *request, u *gate.Guest) error {
	body, err := q.body()
	if err != nil {
		return err
	}
	return u.Act(q.Context(), q.target(u), body)
}

func scale(q *request, u *gate.Guest) error {
	body, err := q.body()
	if err != nil {
		return err
	}
	n, err := gate.ParseCardinality(body)
	if err != nil {
		return err
	}
	return u.Scale(q.Context(), q.param, n)
}

// extended tells whether a service is to be shown extended: any value of the
// parameter asks for it, "false" too. Source: OneGate reference §1.8.
func (q *request) extended() (bool, error) {
	p, err := q.params()
	_, ok := p.lookup("extended")
	return ok, err
}

func showService(q *request, u *gate.Guest) (*gate.Document, error) {
	extended, err := q.extended()
	if err != nil {
		return nil, err
	}
	return u.Service(extended)
}

func watchService(q *request, u *gate.Guest) (*gate.Watch, error) {
	extended, err := q.extended()
	if err != nil {
		return nil, err
	}
	return u.WatchService(extended)
}

func showRouter(_ *request, u *gate.Guest) (*gate.Document, error) { return u.Router() }

func watchRouter(_ *request, u *gate.Guest) (*gate.Watch, error) { return u.WatchRouter() }

// showNetwork extends the leases if the parameter is true, in any case of letters.
// Source: OneGate reference §1.10.
func showNetwork(q *request, u *gate.Guest) (*gate.Document, error) {
	p, err := q.params()
	if err != nil {
		return nil, err
	}
	said, _ := p.lookup("extended")
	return u.Network(q.param, bytes.EqualFold(said, []byte("true")))
}
