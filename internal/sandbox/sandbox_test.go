package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The tests run outside and start this program again in a role, which it plays inside a sandbox.
const roleVariable = "SANDBOX_TEST_ROLE"

const deadline = 2 * time.Minute // generous: only a failure waits for it

var roles = map[string]func() error{
	"describe": describe,
	"status":   func() error { os.Exit(42); return nil },
	"hold":     hold,
	"catch":    catch,
	"orphan":   orphan,
	"libvirtd": libvirtd,
	"nested":   nested,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	status, err := Run(func() int {
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

// play returns the command that plays a role in a new sandbox, killed if the test ends before it does.
func play(t *testing.T, role string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: a sandbox needs root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	// Under the race detector each of the three programs of a role would linger for a second at its end.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, stageVariable+"=", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// output plays a role to its end and returns what it wrote.
func output(t *testing.T, role string) string {
	t.Helper()
	out, err := play(t, role).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", role, err, out)
	}
	return string(out)
}

func describe() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		addrs, err := link.Addrs()
		if err != nil {
			return err
		}
		fmt.Println(link.Name, link.Flags&net.FlagUp != 0, addrs[0])
	}
	sys, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return err
	}
	for _, link := range sys {
		fmt.Println("sysfs", link.Name())
	}
	run, err := os.ReadDir("/run")
	if err != nil {
		return err
	}
	fmt.Println("run", len(run))
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	count := 0
	for _, proc := range procs {
		if _, err := strconv.Atoi(proc.Name()); err == nil {
			count++
		}
	}
	fmt.Println("processes", count)
	name, err := os.Hostname()
	fmt.Println("host", name)
	return err
}

func TestInside(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	want := `lo true 127.0.0.1/8
trifid0 true 10.71.0.1/24
sysfs lo
sysfs trifid0
run 0
processes 2
host sandbox
`
	if got := output(t, "describe"); got != want {
		t.Errorf("inside:\n%s\nwant:\n%s", got, want)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("mounts of the machine changed:\n%s\nwere:\n%s", after, before)
	}
	if _, err := net.InterfaceByName(Bridge); err == nil && !Inside() {
		t.Errorf("the machine has an interface %s", Bridge)
	}
}

func TestStatus(t *testing.T) {
	err := play(t, "status").Run()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Errorf("ended with %v, want exit status 42", err)
	}
}

// hold starts a process that has left our session and process group, as daemons do, and waits for ever.
func hold() error {
	daemon := exec.Command("sleep", "1000000")
	daemon.Stdout = os.Stdout
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return err
	}
	id, err := identity()
	fmt.Println(id)
	if err != nil {
		return err
	}
	select {}
}

// started starts a role and returns its first line, and the rest, which ends when no process inside is left: they all
// hold its other end.
func started(t *testing.T, role string) (*exec.Cmd, string, io.Reader) {
	t.Helper()
	cmd := play(t, role)
	cmd.Stderr = os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s has said %q and no more: %v", role, line, err)
	}
	return cmd, line, out
}

func TestKilledLeavesNothing(t *testing.T) {
	first, firstID, firstOut := started(t, "hold")
	second, secondID, secondOut := started(t, "hold")
	if firstID == secondID {
		t.Errorf("two sandboxes share namespaces %s", firstID)
	}
	for _, s := range []struct {
		cmd *exec.Cmd
		out io.Reader
	}{{first, firstOut}, {second, secondOut}} {
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(s.out); err != nil {
			t.Errorf("after SIGKILL something inside lives on: %v (%q)", err, rest)
		}
		_ = s.cmd.Wait() // "signal: killed"
	}
}

func catch() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("waiting")
	<-ctx.Done()
	fmt.Println("ended tidily")
	return nil
}

func TestSignalReachesInside(t *testing.T) {
	cmd, _, out := started(t, "catch")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || string(rest) != "ended tidily\n" {
		t.Errorf("ended with %v, having said %q", err, rest)
	}
}

// orphan leaves a process behind that ends after its parent, and waits until no trace of it is left.
func orphan() error {
	out, err := exec.Command("sh", "-c", "sleep 0.1 >/dev/null & echo $!").Output()
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C { // the test has the deadline
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
	}
	return nil
}

func TestOrphansAreReaped(t *testing.T) { output(t, "orphan") }

func nested() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=describe")
	out, err := cmd.CombinedOutput()
	fmt.Print(string(out))
	return err
}

// A program started inside is inside already, and so sees a third process.
func TestNested(t *testing.T) {
	if got := output(t, "nested"); !strings.Contains(got, "processes 3\n") {
		t.Errorf("a program started inside is elsewhere:\n%s", got)
	}
}

func TestLeakedStageIsIgnored(t *testing.T) {
	for _, stage := range []string{stageInit, "mnt:[1]net:[1]"} {
		cmd := play(t, "describe")
		cmd.Env = append(cmd.Env, stageVariable+"="+stage)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "processes 2\n") {
			t.Errorf("%s=%s: %v\n%s", stageVariable, stage, err, out)
		}
	}
}

func libvirtd() error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	l, err := StartLibvirtd(ctx)
	if err != nil {
		return err
	}
	for _, again := range []func(context.Context) error{func(context.Context) error { return nil }, l.Restart} {
		if err := again(ctx); err != nil {
			return err
		}
		conn, err := net.Dial("unix", LibvirtSocket)
		if err != nil {
			return fmt.Errorf("ready, but: %w", err)
		}
		conn.Close()
	}
	if err := l.Stop(ctx); err != nil {
		return err
	}
	if _, err := net.Dial("unix", LibvirtSocket); err == nil {
		return errors.New("stopped, but it answers")
	}
	// One that does not come up is reported with what it wrote.
	libvirtConfig["/etc/libvirt/libvirtd.conf"] = "max_clients = nonsense\n"
	if _, err := StartLibvirtd(ctx); err == nil || !strings.Contains(err.Error(), "expecting a value") {
		return fmt.Errorf("a broken configuration gave: %w", err)
	}
	return goleak.Find()
}

func TestLibvirtd(t *testing.T) {
	if err := LibvirtMissing(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	output(t, "libvirtd")
}

func TestLibvirtdOnlyInside(t *testing.T) {
	if Inside() {
		t.Skip("started inside a sandbox")
	}
	if l, err := StartLibvirtd(t.Context()); err == nil {
		err = l.Kill()
		t.Fatalf("started a libvirtd on the machine itself (killed: %v)", err)
	}
}
