package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/config"
)

// program builds the program and returns its path.
func program(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "../../cmd/trifid")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build trifid: %v\n%s", err, out)
	}
	return filepath.Join(bin, "trifid")
}

// process is a server that is a process of its own.
type process struct {
	*running
	cmd *exec.Cmd
}

// launch runs "trifid up" and returns when it is ready.
func launch(t *testing.T, bin string, c config.Config) *process {
	t.Helper()
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trifid.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(bin, "up", "--config", file)}
	r := newRunning(t, c.Data, func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
	p.running, p.cmd.Stdout, p.cmd.Stderr = r, &r.out, &r.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if r.stop != nil { // the test has failed
			_ = p.cmd.Process.Kill()
			<-r.ended
		}
	})
	r.awaitReady()
	r.connect()
	return p
}

// kill ends the process without a word and waits until it is gone.
func (p *process) kill() {
	p.t.Helper()
	p.stop = nil
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// killRounds is how often TestKilled kills the server.
const killRounds = 5

// TestKilled kills the server while it makes, changes, scales and removes, again
// and again. What was acknowledged is there afterwards, everything that was
// begun ends, and nothing has to be repaired.
func TestKilled(t *testing.T) {
	bin := program(t)
	c := settings(t.TempDir())
	c.Hypervisor.Sim.BootTime = config.Duration(20 * time.Millisecond)
	c.Flow.DefaultCooldown = config.Duration(20 * time.Millisecond)
	p := launch(t, bin, c)
	p.call("template.allocate", "NAME=small\nCPU=0.1\nMEMORY=8")
	w := &work{}
	w.counted = p.call("template.instantiate", 0, "counted", false, "", false).Int
	w.service = p.service("web", 2)
	w.check(p)
	for round := range killRounds {
		acks := 10 + rand.IntN(100)
		t.Logf("round %d: killed after %d acknowledgements", round, acks)
		w.until(p, acks)
		p = launch(t, bin, c)
		w.check(p)
	}
	p.end()
	p.quiet()
}

// work is what was asked of a server, and what it has acknowledged.
type work struct {
	service string // its id
	counted int    // the VM whose template is written

	mu    sync.Mutex
	made  map[int]bool // VMs that are there, those of the service left out
	asked map[int]bool // those that were asked to end
	ended map[int]bool // those of which that was acknowledged
	tried int          // the last number written
	wrote map[int]bool // the numbers that were acknowledged
}

// until works on a server and kills it after so many acknowledgements.
func (w *work) until(p *process, acks int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	acked := make(chan struct{})
	var workers sync.WaitGroup
	for _, do := range []func() error{
		func() error { return w.make(ctx, p) },
		func() error { return w.end(ctx, p) },
		func() error { return w.write(ctx, p) },
		func() error { return w.scale(ctx, p) },
	} {
		workers.Go(func() {
			for ctx.Err() == nil && do() == nil {
				select {
				case acked <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range acks {
		select {
		case <-acked:
		case <-ctx.Done():
			p.t.Fatalf("the server does not go on:\n%s", &p.log)
		}
	}
	p.kill()
	cancel()
	workers.Wait()
}

// most is how many VMs there are at a time, beside those of the service.
const most = 30

func (w *work) make(ctx context.Context, p *process) error {
	w.mu.Lock()
	full := len(w.made)-len(w.asked) >= most
	w.mu.Unlock()
	if full {
		return w.write(ctx, p)
	}
	r, err := p.core.Call(ctx, "template.instantiate", 0, "", false, "", false)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made[r.Int] = true
	return nil
}

func (w *work) end(ctx context.Context, p *process) error {
	vm := -1
	w.mu.Lock()
	for id := range w.made {
		if id != w.counted && !w.asked[id] {
			vm, w.asked[id] = id, true
			break
		}
	}
	w.mu.Unlock()
	if vm < 0 {
		return w.write(ctx, p)
	}
	if _, err := p.core.Call(ctx, "vm.action", "terminate-hard", vm); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended[vm] = true
	return nil
}

func (w *work) write(ctx context.Context, p *process) error {
	w.mu.Lock()
	w.tried++
	n := w.tried
	w.mu.Unlock()
	if _, err := p.core.Call(ctx, "vm.update", w.counted, fmt.Sprintf("N%d=%d", n, n), 1); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrote[n] = true
	return nil
}

// scale asks for another cardinality, which is refused as long as the service is
// busy with the one before.
func (w *work) scale(ctx context.Context, p *process) error {
	_, err := p.flow.Do(ctx, http.MethodPost, "/service/"+w.service+"/scale", map[string]any{
		"role_name": "node", "cardinality": 1 + rand.IntN(6), "force": false,
	})
	if refusal := (*client.Error)(nil); errors.As(err, &refusal) {
		return w.write(ctx, p)
	}
	return err
}

// check waits until everything rests, and looks whether all is there that should
// be, and nothing else.
func (w *work) check(p *process) {
	t := p.t
	t.Helper()
	there, others := map[int]*doc.Node{}, 0
	until(t, "everything rests", func() (now string, ok bool) {
		clear(there)
		others = 0
		state, cardinality, nodes := p.role(w.service)
		now, ok = fmt.Sprintf("service: %v with %d of %d nodes\n", state, nodes, cardinality), state == 2 && nodes == cardinality
		for _, v := range p.vms() {
			if s := v.Get("STATE") + "/" + v.Get("LCM_STATE"); s != active {
				now, ok = fmt.Sprintf("%sVM %s: %s\n", now, v.Get("ID"), s), false
			}
			if v.Has("USER_TEMPLATE/SERVICE_ID") {
				others++
			} else {
				there[int(v.Int("ID"))] = v
			}
		}
		return now, ok && others == nodes
	})
	for id := range w.made {
		switch {
		case w.ended[id] && there[id] != nil:
			t.Errorf("VM %d is there, its end was acknowledged", id)
		case !w.asked[id] && there[id] == nil:
			t.Errorf("VM %d is lost", id)
		}
	}
	for n := range w.wrote {
		if got := there[w.counted].Get("USER_TEMPLATE/N" + strconv.Itoa(n)); got != strconv.Itoa(n) {
			t.Errorf("N%d was acknowledged and is %q", n, got)
		}
	}
	host, err := p.core.Doc(context.Background(), "host.info", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := int64(len(there) + others)
	if share := host.At("HOST_SHARE"); share.Int("RUNNING_VMS") != all || share.Int("CPU_USAGE") != 10*all || share.Int("MEM_USAGE") != 8<<10*all {
		t.Errorf("the host counts %s VMs, %s CPU, %s KB; there are %d", share.Get("RUNNING_VMS"), share.Get("CPU_USAGE"), share.Get("MEM_USAGE"), all)
	}
	if strings.Contains(p.log.String(), "wild domain") {
		t.Errorf("there are domains nobody knows:\n%s", &p.log)
	}
	w.made, w.asked, w.ended, w.wrote = map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}
	for id := range there {
		w.made[id] = true
	}
}
