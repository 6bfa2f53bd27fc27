package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/bench/figures"
	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// evaluation is the shortest time between two evaluations of a policy, the
// default of flow.elasticity_min_interval; cooldown the shortest there is.
const (
	evaluation = time.Second
	cooldown   = time.Second
)

// serviceBench is a server with a service template.
type serviceBench struct {
	server   *target.Trifid
	flow     *client.Flow
	template int
	nextVM   int
}

// service measures a straight service of 1 + 1 VMs: from the request that
// instantiates it to RUNNING, and from the answer to a guest's PUT that calls for
// another VM to the record of that VM. What the server does by itself is found by
// asking again and again: what that takes is in the figures.
func (b *bench) service(ctx context.Context) (err error) {
	server, err := b.start(ctx, "service")
	if err != nil {
		return err
	}
	defer end(&err, server)
	s := &serviceBench{server: server}
	if s.flow, err = client.NewFlow(client.Config{Endpoint: server.FlowURL, Session: server.Session, Timeout: time.Minute}); err != nil {
		return err
	}
	if err := s.register(ctx); err != nil {
		return err
	}
	t := figures.NewTable("A straight service of 1 + 1 simulated VMs",
		fmt.Sprintf("Instantiated, asked for until it is RUNNING; then left alone for %v (the shortest period of a policy), pushed a load above the threshold, asked for until there is another VM.", evaluation+cooldown),
		[]string{"service"}, "instantiate to RUNNING, ms", "PUT answered to new VM, ms", "others, cores")
	row := t.Row("straight, 1 + 1").Aim(0, figures.Below(20)).Aim(1, figures.Below(20))
	rounds := 20
	if b.quick {
		rounds = 2
	}
	err = profiled(server, "service", func() error {
		for range b.runs {
			if err := s.run(ctx, row, rounds); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.show(t)
}

// register makes the templates.
func (s *serviceBench) register(ctx context.Context) error {
	vm, err := allocateTemplate(ctx, s.server, `NAME="guest" CPU="0.1" MEMORY="64" CONTEXT=[TOKEN="YES"]`)
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	role := func(name string, more map[string]any) map[string]any {
		more["name"], more["type"], more["template_id"], more["cardinality"] = name, "vm", vm, 1
		return more
	}
	answer, err := s.flow.Do(ctx, http.MethodPost, "/service_template", map[string]any{
		"name": "bench", "deployment": "straight",
		"roles": []any{
			role("frontend", map[string]any{}),
			role("worker", map[string]any{
				"parents": []string{"frontend"}, "min_vms": 1, "max_vms": 3, "cooldown": cooldown / time.Second,
				"elasticity_policies": []any{map[string]any{
					"type": "CHANGE", "adjust": 1, "expression": "LOAD > 80", "period": evaluation / time.Second, "period_number": 1, "cooldown": cooldown / time.Second,
				}},
			}),
		},
	})
	if err != nil {
		return fmt.Errorf("make a service template: %w", err)
	}
	s.template, err = documentID(answer)
	return err
}

// documentID reads the id of a OneFlow document.
func documentID(answer []byte) (int, error) {
	var d struct{ Document struct{ ID string } }
	if err := json.Unmarshal(answer, &d); err != nil {
		return 0, fmt.Errorf("answer of OneFlow: %w", err)
	}
	return strconv.Atoi(d.Document.ID)
}

// run measures several services one after the other and adds their medians.
func (s *serviceBench) run(ctx context.Context, row *figures.Row, rounds int) error {
	m, err := target.NewMeter(s.server.Process)
	if err != nil {
		return err
	}
	var deploy, scale figures.Cell
	for range rounds {
		began := time.Now()
		id, err := s.instantiate(ctx)
		if err != nil {
			return err
		}
		if err := s.await(ctx, id, one.ServiceRunning); err != nil {
			return err
		}
		deploy.Values = append(deploy.Values, ms(time.Since(began)))
		took, err := s.scaleUp(ctx, id)
		if err != nil {
			return err
		}
		scale.Values = append(scale.Values, ms(took))
		if err := s.remove(ctx, id); err != nil {
			return err
		}
	}
	spent, err := m.Read()
	if err != nil {
		return err
	}
	row.Run(deploy.Median(), scale.Median(), spent.Others)
	return nil
}

// await asks for a service until it is in a state.
func (s *serviceBench) await(ctx context.Context, id int, state one.ServiceState) error {
	return poll(ctx, 200*time.Microsecond, func() (bool, error) {
		answer, err := s.flow.Do(ctx, http.MethodGet, "/service/"+strconv.Itoa(id), nil)
		if err != nil {
			return false, err
		}
		now, err := serviceState(answer)
		return now == state, err
	})
}

func serviceState(answer []byte) (one.ServiceState, error) {
	var d struct {
		Document struct {
			Template struct {
				Body struct{ State one.ServiceState }
			}
		}
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return 0, fmt.Errorf("answer of OneFlow: %w", err)
	}
	return d.Document.Template.Body.State, nil
}

// scaleUp pushes a load and returns how long after its answer there is a new VM.
func (s *serviceBench) scaleUp(ctx context.Context, id int) (time.Duration, error) {
	guests, err := readGuests(ctx, s.server)
	if err != nil {
		return 0, err
	}
	worker := guests[len(guests)-1] // it was made after its parent
	s.nextVM = worker.vm + 1
	select {
	case <-time.After(evaluation + cooldown):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	put := putRequest(s.server, "/vm", worker)
	r, err := load.Run(ctx, load.Config{Addr: s.server.Gate, Conns: 1, Requests: 1, Next: func(dst []byte) ([]byte, int) {
		return appendValue(append(dst, put...), 95), http.StatusOK
	}})
	if err := errors.Join(err, r.Err()); err != nil {
		return 0, fmt.Errorf("push a load: %w", err)
	}
	answered := time.Now()
	request := call(s.server, "one.vm.info", xmlrpc.Int(s.nextVM), xmlrpc.Bool(false))
	_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	err = poll(ctx, 200*time.Microsecond, func() (bool, error) {
		res, err := http.Post("http://"+s.server.Core.String()+"/RPC2", "text/xml", bytes.NewReader(body))
		if err != nil {
			return false, err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return bytes.Contains(text, []byte("<boolean>1</boolean>")), err
	})
	if err != nil {
		return 0, fmt.Errorf("wait for service %d to grow: %w", id, err)
	}
	return time.Since(answered), nil
}

// remove undeploys a service and waits until it is gone.
func (s *serviceBench) remove(ctx context.Context, id int) error {
	// While it scales it cannot be removed.
	if err := s.await(ctx, id, one.ServiceRunning); err != nil {
		return err
	}
	if err := s.undeploy(ctx, id); err != nil {
		return err
	}
	return s.awaitGone(ctx, id)
}

func (s *serviceBench) undeploy(ctx context.Context, id int) error {
	if _, err := s.flow.Do(ctx, http.MethodDelete, "/service/"+strconv.Itoa(id), nil); err != nil {
		return fmt.Errorf("undeploy: %w", err)
	}
	return nil
}

// awaitGone asks for a service until there is none.
func (s *serviceBench) awaitGone(ctx context.Context, id int) error {
	return poll(ctx, 200*time.Microsecond, func() (bool, error) {
		_, err := s.flow.Do(ctx, http.MethodGet, "/service/"+strconv.Itoa(id), nil)
		if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == http.StatusNotFound {
			return true, nil
		}
		return false, err
	})
}

// instantiate makes a service of the template and returns its id.
func (s *serviceBench) instantiate(ctx context.Context) (int, error) {
	answer, err := s.flow.Do(ctx, http.MethodPost, fmt.Sprintf("/service_template/%d/action", s.template), map[string]any{"action": map[string]any{"perform": "instantiate"}})
	if err != nil {
		return 0, fmt.Errorf("instantiate: %w", err)
	}
	return documentID(answer)
}
