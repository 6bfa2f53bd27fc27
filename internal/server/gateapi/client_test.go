package gateapi_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/store"
)

// Requests as the stock guest client puts them on the wire, answered as it needs.
// Source: OneGate reference §4.4.
func TestStockClient(t *testing.T) {
	w := newWorld(t, settings{})
	stock := []string{
		"Accept-Encoding", "gzip;q=1.0,deflate;q=0.6,identity;q=0.3", "Accept", "*/*", "User-Agent", "OpenNebula 6.10.0 (Ruby)",
		"Authorization", "Basic Og==",
	}
	ask := func(method, path, typ, body string) answer {
		return w.ask(w.web0, method, path, body, append([]string{"Content-Type", typ}, stock...)...)
	}
	w.want("vm update --data, 6.10", ask("PUT", "/vm", form, `A=1\nB=x y`), 200, "")
	w.want("vm update --data, 7", ask("PUT", "/vm", form, `data=C%3D1%5CnD%3Dx+y&type=1`), 200, "")
	w.want("vm update --data -j, 7", ask("PUT", "/vm", form, `data=E%3D1&type=1&json=true`), 200, "")
	if got, want := flat(w.now(w.web0)), "A=1 B=x y C=1 D=x y E=1 ROLE_NAME=web SERVICE_ID=0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.want("vm update --erase", ask("PUT", "/vm", form, `data=A&type=2`), 200, "")
	w.want("vm update 7 --erase", ask("PUT", "/vms/"+itoa(w.web0.ID), form, `data=B&type=2`), 200, "")
	w.want("vm poweroff", ask("POST", "/vms/"+itoa(w.web0.ID)+"/action", "application/json", `{"action":{"perform":"poweroff"}}`), 204, "")
	w.want("service scale", ask("PUT", "/service/role/web", form, `{"cardinality":"4"}`), 200, "")
	for path, root := range map[string]string{"/vm": "VM", "/service": "SERVICE"} {
		a := ask("GET", path, "", "")
		if a.status != 200 || !strings.HasPrefix(a.body, `{"`+root+`":{`) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := ask("GET", "/service", form, "extended=true"); !strings.Contains(a.body, `"PERMISSIONS"`) {
		t.Errorf("service show --extended: %s", a.body)
	}
}

// onegate builds the guest's client once and returns what runs it as a VM's guest.
func onegateProgram(t *testing.T) string {
	t.Helper()
	gobin, err := exec.LookPath("go")
	if err != nil {
		t.Skip("CHECK NOT MADE: no go command to build the guest's client with")
	}
	bin := filepath.Join(t.TempDir(), "onegate")
	cmd := exec.Command(gobin, "build", "-o", bin, "github.com/trifid-cloud/trifid/cmd/onegate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest's client: %v\n%s", err, out)
	}
	return bin
}

// Our own client against our own gate.
func TestOwnClient(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	w := newWorld(t, settings{})
	bin := onegateProgram(t)
	command := func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, bin, args...)
		cmd.Env = []string{"ONEGATE_ENDPOINT=" + w.server.URL, "VMID=" + itoa(w.web0.ID), "TOKENTXT=" + token(t, w.web0), "HOME=" + t.TempDir()}
		return cmd
	}
	run := func(want string, args ...string) {
		t.Helper()
		out, err := command(t.Context(), args...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("onegate %s: %q (%v), want %q", strings.Join(args, " "), got, err, want)
		}
	}
	padded := func(name, value string) string { return fmt.Sprintf("%-20s: %s", name, value) }
	run("VM "+itoa(w.web0.ID)+"\n"+padded("NAME", w.web0.Name), "vm", "show")
	run("", "vm", "update", "--data", `A=1\nB=two words, a {"b":1}`)
	run("", "vm", "update", itoa(w.web1.ID), "-d", "C=3")
	run("", "vm", "update", "--erase", "A")
	run("ERROR: \nattribute not found", "vm", "update", "--erase", "A")
	run("ERROR: \nAttribute (SERVICE_ID) cannot be modified", "vm", "update", "-d", "SERVICE_ID = 7")
	run("ERROR: \nService 0 does not contain VM "+itoa(w.lone.ID)+".", "vm", "show", itoa(w.lone.ID))
	run("", "service", "scale", "--role", "web", "--cardinality", "3")
	run("ERROR: \nEmpty or invalid VROUTER_ID", "vrouter", "show")
	run("", "vm", "poweroff", itoa(w.web1.ID))
	if got, want := flat(w.now(w.web0)), `B=two words, a {"b":1} ROLE_NAME=web SERVICE_ID=0`; got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	if got := w.now(w.web1).UserTemplate.Get("C"); got != "3" {
		t.Errorf("C of the sibling is %q", got)
	}
	if fmt.Sprint(w.flow.asked) != "[ana 0 web 3]" {
		t.Errorf("flow was asked %q", w.flow.asked)
	}

	// It follows changes without asking again and again.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := command(ctx, "watch", "service", "--extended")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		buf := make([]byte, 0, 64<<10)
		for {
			n, err := out.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if i := strings.IndexByte(string(buf), '\n'); i >= 0 {
				lines <- string(buf[:i])
				buf = append(buf[:0], buf[i+1:]...)
			}
			if err != nil {
				return
			}
		}
	}()
	if first := <-lines; !strings.Contains(first, `"state":2`) {
		t.Errorf("first: %s", first)
	}
	for state := 3; state < 6; state++ {
		w.watchers(1)
		w.Do(func(tx *store.Tx) {
			s, _ := tx.Services.Get(0)
			n := *s
			n.State++
			tx.PutService(&n)
		})
		if line := <-lines; !strings.Contains(line, `"state":`+itoa(state)) {
			t.Errorf("state %d: %s", state, line)
		}
	}
	w.watchers(1)
	cancel()
	for range lines {
	}
	_ = cmd.Wait() // it was killed
	w.watchers(0)
}
