package daemon

import (
	"context"

	"github.com/trifid-cloud/trifid/internal/flow"
	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/server/flowapi"
	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
)

// addFaces builds what answers on the listeners.
func (s *server) addFaces(ctx context.Context) error {
	services := flow.New(flow.Options{
		Store: s.store, Cloud: s.cloud, Config: s.Config.Flow, Monitor: s.mon, Log: s.Log.With("component", "flow"),
	})
	s.mon.OnVMs(services.TakeVMs)
	s.add("flow", services.Run)
	s.face("core").handler = oneapi.New(oneapi.Options{
		Cloud: s.cloud, Monitor: s.mon, Body: services.Body, Log: s.Log.With("component", "core"),
	})
	s.face("flow").handler = flowapi.New(flowapi.Options{Cloud: s.cloud, Flow: services, Log: s.Log.With("component", "flow")})
	g, err := gate.New(gate.Options{
		Cloud: s.cloud, Flow: services, Config: s.Config.Gate, Monitor: s.mon, Feed: s.store, Log: s.Log.With("component", "gate"),
	})
	if err != nil {
		return err
	}
	s.add("gate", g.Run)
	guests := gateapi.New(g, gateapi.Options{Log: s.Log.With("component", "gate")})
	s.face("gate").handler = guests
	if f := s.face("metrics"); f != nil {
		f.handler = metrics(s.Version, s.store.Collectors(), guests.Collectors())
	}
	return nil
}
