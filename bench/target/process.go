// Package target starts what is measured, each in a process of its own: a Trifid
// server, and the peers it is compared with. It reads from /proc what they spend,
// and what everybody else on the machine does meanwhile.
package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started. Its standard error goes to a file.
type Process struct {
	PID   int
	Began time.Time // just before it was started

	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	log   *os.File
	ended chan error
}

// start starts a program whose standard error goes to the file logPath.
func start(logPath, program string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", program, err)
	}
	p := &Process{cmd: exec.Command(program, args...), log: log, ended: make(chan error, 1)}
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive us
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), log.Close())
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), log.Close())
	}
	p.out = bufio.NewReader(out)
	p.Began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), log.Close())
	}
	p.PID = p.cmd.Process.Pid
	return p, nil
}

// line reads a line of the program's standard output, without its end.
func (p *Process) line(ctx context.Context) (string, error) {
	type read struct {
		text string
		err  error
	}
	got := make(chan read, 1)
	go func() {
		s, err := p.out.ReadString('\n')
		got <- read{strings.TrimSuffix(s, "\n"), err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return "", fmt.Errorf("%s says nothing more, see %s: %w", p.cmd.Path, p.log.Name(), r.err)
		}
		return r.text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// say writes a line to the program's standard input.
func (p *Process) say(line string) error {
	_, err := io.WriteString(p.in, line+"\n")
	return err
}

// Kill ends the program with SIGKILL and waits for it.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	_ = p.cmd.Wait() // it was killed: its status says nothing
	return errors.Join(err, p.log.Close())
}

// Usage is what a process has spent and holds.
type Usage struct {
	CPU time.Duration // of all threads, in user and kernel mode
	// RSS is the resident memory, Anon the part of it that is no file (etcd maps
	// its database), Peak the most that RSS has been; bytes.
	RSS, Anon, Peak int64
}

// ticksPerSecond is the unit of /proc/PID/stat, the same on all Linux that Go runs on.
const ticksPerSecond = 100

// Usage reads what the process has spent.
func (p *Process) Usage() (Usage, error) { return usage(p.PID) }

// SelfUsage is Usage of the calling process.
func SelfUsage() (Usage, error) { return usage(os.Getpid()) }

func usage(pid int) (Usage, error) {
	var u Usage
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, fmt.Errorf("usage of a process: %w", err)
	}
	// The name in parentheses may hold anything; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime = 14 - 3
	if len(fields) <= utime+1 {
		return u, fmt.Errorf("usage of process %d: cannot read %q", pid, stat)
	}
	for _, f := range fields[utime : utime+2] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		u.CPU += time.Duration(n) * (time.Second / ticksPerSecond)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, fmt.Errorf("usage of a process: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		to := map[string]*int64{"VmRSS": &u.RSS, "RssAnon": &u.Anon, "VmHWM": &u.Peak}[name]
		if to == nil {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return u, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		*to = kb << 10
	}
	return u, nil
}
