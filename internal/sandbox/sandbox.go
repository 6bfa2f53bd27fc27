// Package sandbox runs a program inside namespaces of its own (network, mount, pid, UTS and IPC), so that tests and the
// demonstration can use bridges, libvirt and real guests as root without touching the machine they run on.
//
// Inside there is a loopback interface, one bridge (Bridge) with the address Address, an empty /run, an empty libvirt,
// and no process from outside. The whole inside is one process tree: however the program ends, SIGKILL included, the
// kernel ends everything that was started in it and the namespaces vanish with their content. What is written elsewhere
// than in /run and libvirt's directories is written to the machine. Any number of sandboxes may exist at once; each has
// its own bridge of the same name.
//
// For a program's edge (a command, the demonstration, a TestMain); test/arch keeps everything else from importing it.
package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Bridge is the name of the bridge inside a sandbox.
const Bridge = "trifid0"

// Address is the bridge's own address with its network: what guests reach servers of the sandbox at.
var Address = netip.MustParsePrefix("10.71.0.1/24")

// ErrNotRoot is returned by Run when the caller may not create namespaces.
var ErrNotRoot = errors.New("a sandbox needs root")

// stageVariable tells a copy of the program which stage it is: stageInit, or the identity of the sandbox it is in.
const (
	stageVariable = "TRIFID_SANDBOX"
	stageInit     = "init"
)

// Run calls body inside a sandbox and returns the exit status the program should end with.
//
// The namespaces of a running program cannot be changed as a whole, so the program is started anew with the same
// arguments and must come to the same call of Run again. That happens twice: the first copy is process 1 of the sandbox,
// which sets it up and buries its orphans; the second calls body. In all but the last, Run returns the status of the copy
// below, so everything a program does before Run is done three times and must be harmless.
//
// A program started inside a sandbox is inside already: Run then only calls body.
func Run(body func() int) (status int, err error) {
	switch {
	case Inside():
		return body(), nil
	case os.Getenv(stageVariable) == stageInit && os.Getpid() == 1:
		return runInit()
	case os.Geteuid() != 0:
		return 1, ErrNotRoot
	default:
		return runOutside()
	}
}

// Inside reports whether the calling program is in a sandbox.
func Inside() bool {
	id, err := identity()
	return err == nil && os.Getenv(stageVariable) == id
}

// identity names the namespaces we are in. A stage variable that leaked out of its sandbox matches nothing.
func identity() (string, error) {
	mnt, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "", err
	}
	net, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", err
	}
	return mnt + net, nil
}

// runOutside starts process 1 of a new sandbox and waits for it.
func runOutside() (int, error) {
	// The kernel sends the parent-death signal when the *thread* that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := copyOfSelf(stageInit)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("create namespaces: %w", err)
	}
	stop := forwardSignals(cmd.Process, func(s os.Signal) os.Signal {
		if s == os.Interrupt {
			// A terminal has sent it to every process of the group, so the inside has it as well.
			if onTerminal() {
				return nil
			}
			return syscall.SIGTERM
		}
		return s
	})
	defer stop()

	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return statusOf(exit.Sys().(syscall.WaitStatus)), nil
	}
	if err != nil {
		return 1, fmt.Errorf("wait for the sandbox: %w", err)
	}
	return 0, nil
}

// copyOfSelf is the command that starts this program again with the same arguments as the given stage.
func copyOfSelf(stage string) *exec.Cmd {
	return &exec.Cmd{
		Path:   "/proc/self/exe",
		Args:   os.Args,
		Env:    append(os.Environ(), stageVariable+"="+stage), // the last of two equal names counts
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	}
}

// forwardSignals passes the signals that end a program on to p, each as what translate makes of it (nil: not at all),
// until stop is called.
func forwardSignals(p *os.Process, translate func(os.Signal) os.Signal) (stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := range signals {
			if s = translate(s); s != nil {
				_ = p.Signal(s) // fails only when p has ended, which its waiter learns anyway
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}

// onTerminal reports whether we are in the foreground of a terminal.
func onTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// statusOf gives the shell's exit status for a process that ended.
func statusOf(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
