// Package scripts runs the commands as users do: each script has a server of its
// own, "trifid up" on simulated hosts. Beyond testscript's commands there is
//
//	until PATTERN COMMAND ARGUMENTS
//
// which runs a command again and again until a line of its output matches.
package scripts

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds a wait: it is reached only when something is broken.
const patience = time.Minute

func TestScripts(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "../../cmd/trifid")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build trifid: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:   ".",
		Setup: func(env *testscript.Env) error { return setUp(env, bin) },
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"until": until},
	})
}

// setUp starts a server in the script's directory and lets the commands find it.
func setUp(env *testscript.Env, bin string) error {
	data, home := filepath.Join(env.WorkDir, "d"), filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", home)
	env.Setenv("TRIFID_DATA", data)
	log, err := os.Create(filepath.Join(env.WorkDir, "server.log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin, "trifid"), "up", "--hypervisor", "sim", "--listen", "127.0.0.1:0", "--data", data)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	env.Defer(func() {
		// A server that has ended already says so below.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			text, _ := os.ReadFile(log.Name())
			env.T().Log(fmt.Sprintf("server: %v\n%s", err, text))
		}
		if err := log.Close(); err != nil {
			env.T().Log("close the log:", err)
		}
	})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "trifid: ready" {
				ready <- true
			}
		}
		ready <- false
		ended <- cmd.Wait()
	}()
	if !<-ready {
		return errors.New("the server did not become ready")
	}
	return nil
}

// until waits for a command to print what a pattern matches; for ^$, nothing.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern command [args]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		cmd := exec.Command(lookup(ts, args[1]), args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
		out, err := cmd.CombinedOutput()
		if err == nil && (args[0] == "^$" && len(out) == 0 || args[0] != "^$" && pattern.Match(out)) {
			return
		}
		select {
		case <-pause.C:
		case <-deadline.C:
			ts.Fatalf("%s never came: %v\n%s", args[0], err, out)
		}
	}
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TRIFID_DATA", "ONE_AUTH", "WORK"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func lookup(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && !st.IsDir() && !strings.Contains(name, "/") {
			return path
		}
	}
	ts.Fatalf("%s: not found", name)
	return ""
}
