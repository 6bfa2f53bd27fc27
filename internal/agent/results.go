package agent

import (
	"cmp"
	"slices"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

// results are the results the server has not acknowledged, in the order in which
// their steps ended.
type results struct {
	kept map[agentapi.StepID]keptResult
	next uint64
}

type keptResult struct {
	agentapi.Result
	nth uint64
}

func newResults() results {
	return results{kept: make(map[agentapi.StepID]keptResult)}
}

func (r *results) keep(res agentapi.Result) {
	r.kept[res.StepID] = keptResult{res, r.next}
	r.next++
}

func (r *results) get(id agentapi.StepID) (agentapi.Result, bool) {
	k, ok := r.kept[id]
	return k.Result, ok
}

func (r *results) forget(id agentapi.StepID) { delete(r.kept, id) }

// all returns them in order.
func (r *results) all() []agentapi.Result {
	sorted := make([]keptResult, 0, len(r.kept))
	for _, k := range r.kept {
		sorted = append(sorted, k)
	}
	slices.SortFunc(sorted, func(a, b keptResult) int { return cmp.Compare(a.nth, b.nth) })
	out := make([]agentapi.Result, len(sorted))
	for i, k := range sorted {
		out[i] = k.Result
	}
	return out
}
