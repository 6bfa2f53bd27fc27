package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
)

// watcher looks at the cloud from outside, through the interfaces its users have.
type watcher struct {
	core *client.Core
	flow *client.Flow
}

func newWatcher(data string) (*watcher, error) {
	env := client.Env{Getenv: func(k string) string {
		if k == "TRIFID_DATA" {
			return data
		}
		return ""
	}}
	c, err := env.Core(client.Options{})
	if err != nil {
		return nil, err
	}
	f, err := env.Flow(client.Options{})
	if err != nil {
		return nil, err
	}
	w := &watcher{}
	if w.core, err = client.NewCore(c); err != nil {
		return nil, err
	}
	if w.flow, err = client.NewFlow(f); err != nil {
		return nil, err
	}
	return w, nil
}

// snapshot is what the cloud shows at one moment.
type snapshot struct {
	hostsOn, imagesReady, vms int
	running, ready            map[int]bool // by VM
	services                  map[int]serviceView
}

func (s snapshot) service(id int) serviceView { return s.services[id] }

func (s snapshot) hasService(id int) bool {
	_, ok := s.services[id]
	return ok
}

// serviceView is what is read of a service's document.
type serviceView struct {
	State int        `json:"state"`
	Roles []roleView `json:"roles"`
}

type roleView struct {
	Name  string     `json:"name"`
	State int        `json:"state"`
	Nodes []nodeView `json:"nodes"`
}

type nodeView struct {
	ID int `json:"deploy_id"`
}

func (s serviceView) role(name string) roleView {
	for _, r := range s.Roles {
		if r.Name == name {
			return r
		}
	}
	return roleView{}
}

// look reads the cloud.
func (w *watcher) look(ctx context.Context) (snapshot, error) {
	s := snapshot{running: map[int]bool{}, ready: map[int]bool{}, services: map[int]serviceView{}}
	hosts, err := w.core.Doc(ctx, "hostpool.info")
	if err != nil {
		return s, err
	}
	for _, h := range hosts.All("HOST") {
		if h.Get("STATE") == "2" {
			s.hostsOn++
		}
	}
	images, err := w.core.Doc(ctx, "imagepool.info", -2, -1, -1)
	if err != nil {
		return s, err
	}
	for _, i := range images.All("IMAGE") {
		if i.Get("STATE") == "1" {
			s.imagesReady++
		}
		if i.Get("STATE") == "5" {
			return s, fmt.Errorf("image %s could not be made: %s", i.Get("NAME"), i.Get("TEMPLATE/ERROR"))
		}
	}
	vms, err := w.core.Doc(ctx, "vmpool.infoextended", -2, -1, -1, -1)
	if err != nil {
		return s, err
	}
	for _, v := range vms.All("VM") {
		id, _ := strconv.Atoi(v.Get("ID"))
		s.vms++
		s.running[id] = v.Get("STATE") == "3" && v.Get("LCM_STATE") == "3"
		s.ready[id] = v.Get("USER_TEMPLATE/READY") == "YES"
		if e := v.Get("USER_TEMPLATE/ERROR"); e != "" {
			return s, fmt.Errorf("VM %d: %s", id, e)
		}
	}
	return s, w.lookAtServices(ctx, &s)
}

func (w *watcher) lookAtServices(ctx context.Context, s *snapshot) error {
	b, err := w.flow.Do(ctx, "GET", "/service", nil)
	if err != nil {
		return err
	}
	var pool struct {
		Pool struct {
			Documents []struct {
				ID       string `json:"ID"`
				Template struct {
					Body serviceView `json:"BODY"`
				} `json:"TEMPLATE"`
			} `json:"DOCUMENT"`
		} `json:"DOCUMENT_POOL"`
	}
	if err := json.Unmarshal(b, &pool); err != nil {
		return fmt.Errorf("read the services: %w", err)
	}
	for _, d := range pool.Pool.Documents {
		id, err := strconv.Atoi(d.ID)
		if err != nil {
			return fmt.Errorf("read the services: id %q", d.ID)
		}
		s.services[id] = d.Template.Body
	}
	return nil
}

// until waits until the cloud shows what is expected. A demonstration stands
// outside, as a user does, so it looks again and again.
func (w *watcher) until(ctx context.Context, what string, ok func(snapshot) bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := w.look(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
