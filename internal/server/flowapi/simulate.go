package flowapi

import (
	"net/http"

	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

func simulateService(q *request, id int) (answer, error) {
	s, err := q.simulation()
	if err != nil {
		return answer{}, err
	}
	return simulated(q.flow.SimulateService(q.Context(), q.who, id, s))
}

func simulateTemplate(q *request, id int) (answer, error) {
	s, err := q.simulation()
	if err != nil {
		return answer{}, err
	}
	return simulated(q.flow.SimulateTemplate(q.Context(), q.who, id, s))
}

// simulation reads what to simulate.
func (q *request) simulation() (flow.Simulation, error) {
	body, err := q.template()
	if err != nil {
		return flow.Simulation{}, err
	}
	if body.Kind != jsontree.Object {
		return flow.Simulation{}, invalid("the body must be a JSON object")
	}
	return flow.ReadSimulation(body)
}

func simulated(doc jsontree.Value, err error) (answer, error) {
	return answer{status: http.StatusOK, typ: typeJSON, doc: doc}, err
}
