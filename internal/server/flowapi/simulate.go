package flowapi

import (
	"net/http"

	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

func simulateService(q *request) (answer, error) {
	id, s, err := q.simulation()
	if err != nil {
		return answer{}, err
	}
	return simulated(q.flow.SimulateService(q.Context(), q.who, id, s))
}

func simulateTemplate(q *request) (answer, error) {
	id, s, err := q.simulation()
	if err != nil {
		return answer{}, err
	}
	return simulated(q.flow.SimulateTemplate(q.Context(), q.who, id, s))
}

// simulation reads what to simulate, and of what.
func (q *request) simulation() (id int, s flow.Simulation, err error) {
	if id, err = q.id(); err != nil {
		return id, s, err
	}
	body, err := q.template()
	if err != nil {
		return id, s, err
	}
	if body.Kind != jsontree.Object {
		return id, s, invalid("the body must be a JSON object")
	}
	s, err = flow.ReadSimulation(body)
	return id, s, err
}

func simulated(doc jsontree.Value, err error) (answer, error) {
	return answer{status: http.StatusOK, typ: typeJSON, doc: doc}, err
}
