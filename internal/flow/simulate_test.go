package flow

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/simulate"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
)

// Simulations cannot take every core of a server.
func TestSimulationsAreFew(t *testing.T) {
	f := New(Options{})
	for range maxSimulations {
		f.simulations <- struct{}{}
	}
	o := simulate.Options{Spec: &spec.Spec{}}
	if _, err := f.simulate(t.Context(), "s", o, Simulation{Until: 1}); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("one more: %v", err)
	}
	<-f.simulations
	if _, err := f.simulate(t.Context(), "s", o, Simulation{Until: 1}); err != nil {
		t.Errorf("when there is room: %v", err)
	}
	if len(f.simulations) != maxSimulations-1 {
		t.Errorf("%d places are taken afterwards", len(f.simulations))
	}
}
