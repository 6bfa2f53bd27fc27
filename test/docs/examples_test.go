package docs

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/flow/spec"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

var attribute = regexp.MustCompile(`^[A-Z_]+ = `)

// Every template, service template and settings file that is shown is one that is accepted.
func TestExamples(t *testing.T) {
	count := map[string]int{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch {
			case b.language == "yaml":
				count["yaml"]++
				file := filepath.Join(t.TempDir(), "trifid.yaml")
				if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, _, err := config.Load(file); err != nil {
					t.Errorf("%s:%d: %v", p.name, b.line, err)
				}
			case b.language == "json":
				count["json"]++
				if err := checkService(b.text); err != nil {
					t.Errorf("%s:%d: %v", p.name, b.line, err)
				}
			case b.language == "" && attribute.MatchString(b.text):
				count["template"]++
				if _, err := tmpl.ParseText(b.text); err != nil {
					t.Errorf("%s:%d: %v", p.name, b.line, err)
				}
			}
		}
	}
	for _, kind := range []string{"yaml", "json", "template"} {
		if count[kind] == 0 {
			t.Errorf("no example of %s found: the check no longer sees them", kind)
		}
	}
}

// checkService checks a service template as the server does.
func checkService(text string) error {
	tree, err := jsontree.Parse([]byte(text))
	if err != nil {
		return err
	}
	if tree, err = spec.Check(tree); err != nil {
		return err
	}
	return spec.CheckGraph(tree)
}

// patience bounds a wait: it is reached only when something is broken.
const patience = time.Minute

// The commands of the README's quick start and of the guide's simulation do what these pages say, on a server of their own.
func TestQuickStart(t *testing.T) {
	script := ""
	for _, b := range one(t, "README.md").blocks {
		if b.under == "Quick start" && strings.Contains(b.text, "TRIFID_DATA") {
			script = b.text
		}
	}
	if script == "" {
		t.Fatal("README.md: no block with TRIFID_DATA under Quick start")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "bin/trifid")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/trifid").CombinedOutput(); err != nil {
		t.Fatalf("build trifid: %v\n%s", err, out)
	}
	data := filepath.Join(dir, "cloud")
	startServer(t, program, data)

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	run := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, "sh", "-eu")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(script)
		cmd.Env = append(os.Environ(), "HOME="+dir, "TRIFID_DATA="+data, "ONE_AUTH=", "ONE_XMLRPC=", "ONEFLOW_URL=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run(strings.ReplaceAll(script, "/tmp/", dir+"/"))
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for out := ""; !strings.Contains(out, "shop,RUNNING"); {
		select {
		case <-pause.C:
		case <-ctx.Done():
			t.Fatalf("the service never runs:\n%s", out)
		}
		out = run("bin/trifid flow list --csv --list NAME,STAT\nbin/trifid vm list --csv")
	}
	run("bin/trifid flow-template delete shop") // the guide has another one of that name
	checkSimulation(t, dir, run)
}

// checkSimulation runs the guide's example of a simulation and compares what it prints.
func checkSimulation(t *testing.T, dir string, run func(script string) string) {
	t.Helper()
	const heading = "Try policies before they count"
	blocks := map[string]string{}
	for _, b := range one(t, "docs/guide.md").blocks {
		if b.under == heading || b.language == "json" && strings.Contains(b.text, `"name": "shop"`) {
			blocks[b.language] = b.text
		}
	}
	for file, language := range map[string]string{"shop.json": "json", "load.csv": "csv"} {
		if blocks[language] == "" {
			t.Fatalf("docs/guide.md: no block of %s for %q", language, heading)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(blocks[language]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := run("PATH=$PWD/bin:$PATH\ntrifid flow-template create shop.json >/dev/null\n" + strings.ReplaceAll(blocks["sh"], "oneflow-template", "trifid flow-template"))
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	if got := strings.Join(lines, "\n") + "\n"; got != blocks[""] {
		t.Errorf("docs/guide.md, %q: it prints\n%s", heading, got)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "shop.html")); err != nil || !strings.Contains(string(page), "</svg>") {
		t.Errorf("docs/guide.md, %q: no page: %v", heading, err)
	}
}

// startServer runs a server on simulated hosts until the test ends.
func startServer(t *testing.T, program, data string) {
	t.Helper()
	cmd := exec.Command(program, "up", "--hypervisor", "sim", "--listen", "127.0.0.1:0", "--data", data)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, drained := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "trifid: ready" {
				ready <- true
			}
		}
		ready <- false
	}()
	t.Cleanup(func() {
		// One that has ended already tells why below.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("server: %v\n%s", err, log.String())
		}
	})
	if !<-ready {
		t.Fatal("the server did not become ready")
	}
}
