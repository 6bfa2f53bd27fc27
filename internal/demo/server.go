package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// server is the cloud's process.
type server struct {
	cmd  *exec.Cmd
	gone chan error
	log  *os.File
}

// startServer starts "trifid up" and returns when it says that it is ready.
func startServer(ctx context.Context, program, config, logPath string) (*server, error) {
	log, err := os.OpenFile(logPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &server{cmd: exec.Command(program, "up", "--config", config), gone: make(chan error, 1), log: log}
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), log.Close())
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), log.Close())
	}
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.TrimSpace(lines.Text()) == "trifid: ready" {
				ready <- true
			}
		}
		close(ready)
		s.gone <- s.cmd.Wait()
	}()
	select {
	case ok := <-ready:
		if ok {
			return s, nil
		}
		return nil, fmt.Errorf("the server ended before it was ready: %w\n%s", <-s.gone, tail(logPath))
	case <-ctx.Done():
		s.kill()
		return nil, fmt.Errorf("the server is not ready: %w\n%s", ctx.Err(), tail(logPath))
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.gone
	s.log.Close()
}

// stop asks the server to end, and insists after a while.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	defer s.log.Close()
	select {
	case err := <-s.gone:
		if err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
		return nil
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.gone
		return errors.New("the server did not stop within 20 s")
	}
}

// tail returns the end of a log file, for errors.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
