package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

// LibvirtSocket is where a libvirtd started by StartLibvirtd listens; libvirt's clients look there by default.
const LibvirtSocket = "/run/libvirt/libvirt-sock"

// libvirtd's log and its guests' logs, on a tmpfs of the sandbox.
const (
	libvirtdLog = "/var/log/libvirt/libvirtd.log"
	guestLogs   = "/var/log/libvirt/qemu/*.log"
)

// The daemon's configuration: log to standard error, ask nobody (there is no polkit here). The QEMU driver's: everything
// that would need a daemon, an account, a label or a control group of the machine is off. CPU shares are then ignored.
var libvirtConfig = map[string]string{
	"/etc/libvirt/libvirtd.conf": `
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:stderr"
`,
	"/etc/libvirt/qemu.conf": `
stdio_handler = "file"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
`,
}

// libvirtTools are the programs a private libvirtd with guests runs.
var libvirtTools = []string{"libvirtd", "qemu-system-x86_64", "qemu-img"}

// LibvirtMissing says what of a private libvirtd this machine lacks, and the remedy. It is nil when nothing is.
func LibvirtMissing() error {
	for _, tool := range libvirtTools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: run `make deps`", tool)
		}
	}
	// libvirtd looks both up whatever its configuration says, and refuses to start without.
	if _, err := user.Lookup("libvirt-qemu"); err != nil {
		return errors.New("the account libvirt-qemu does not exist: run `make deps`")
	}
	if _, err := user.LookupGroup("libvirt-qemu"); err != nil {
		return errors.New("the group libvirt-qemu does not exist: run `make deps`")
	}
	for _, dir := range covered {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("the directory %s does not exist: run `make deps`", dir)
		}
	}
	return nil
}

// Libvirtd is a libvirt daemon of this sandbox. Its methods are for one goroutine.
type Libvirtd struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has been waited for
	err  error         // cmd's end, valid once done is closed
}

// StartLibvirtd starts a libvirtd inside the sandbox and returns once it serves QEMU guests at LibvirtSocket. ctx bounds
// the start only. It refuses to start one outside a sandbox.
func StartLibvirtd(ctx context.Context) (*Libvirtd, error) {
	if !Inside() {
		return nil, errors.New("start libvirtd: only ever inside a sandbox")
	}
	if err := LibvirtMissing(); err != nil {
		return nil, fmt.Errorf("start libvirtd: %w", err)
	}
	for path, text := range libvirtConfig {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("start libvirtd: %w", err)
		}
	}
	l := &Libvirtd{}
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// start runs the daemon and waits for the readiness message it sends to $NOTIFY_SOCKET (systemd's protocol, sd_notify(3)).
func (l *Libvirtd) start(ctx context.Context) error {
	notify := filepath.Join("/run", "libvirtd-notify")
	if err := os.RemoveAll(notify); err != nil {
		return fmt.Errorf("start libvirtd: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("start libvirtd: %w", err)
	}
	defer conn.Close()

	log, err := os.OpenFile(libvirtdLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start libvirtd: %w", err)
	}
	defer log.Close() // the daemon has its own copy

	cmd := exec.Command("libvirtd")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start libvirtd: %w", err)
	}
	done := make(chan struct{})
	l.cmd, l.done = cmd, done
	go func() {
		defer close(done)
		l.err = cmd.Wait()
		conn.Close() // whoever waits for readiness waits in vain
	}()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	err = awaitListening(conn)
	if err == nil {
		err = awaitServing(ctx)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if kill := l.Kill(); kill != nil {
		return kill
	}
	return fmt.Errorf("start libvirtd: not ready: %w\n%s", errors.Join(err, l.err), l.Log())
}

// awaitListening reads messages until one says that the daemon is ready, which means that its sockets exist.
func awaitListening(conn *net.UnixConn) error {
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(buf[:n])) {
			if strings.TrimSpace(line) == "READY=1" {
				return nil
			}
		}
	}
}

// awaitServing opens a connection to the QEMU driver. The daemon answers when its drivers are there, or ends.
func awaitServing(ctx context.Context) error {
	conn, err := net.Dial("unix", LibvirtSocket)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client := libvirt.NewWithDialer(dialers.NewAlreadyConnected(conn))
	if err := client.ConnectToURI(libvirt.QEMUSystem); err != nil {
		return err
	}
	return client.Disconnect()
}

// Kill ends the daemon with SIGKILL and waits until it is gone. Its guests run on.
func (l *Libvirtd) Kill() error {
	err := l.cmd.Process.Kill()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill libvirtd: %w", err)
	}
	<-l.done
	return nil
}

// Restart kills the daemon, guests running or not, starts it again and returns once it is ready. ctx bounds the start.
func (l *Libvirtd) Restart(ctx context.Context) error {
	if err := l.Kill(); err != nil {
		return err
	}
	return l.start(ctx)
}

// Stop asks the daemon to end and waits for that, at most until ctx is done; then it is killed and Stop returns an error.
// Its guests run on, until the sandbox ends.
func (l *Libvirtd) Stop(ctx context.Context) error {
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop libvirtd: %w", err)
	}
	select {
	case <-l.done:
		if l.err != nil {
			return fmt.Errorf("stop libvirtd: %w", l.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop libvirtd: %w", errors.Join(ctx.Err(), l.Kill()))
	}
}

// Log returns the end of what the daemon and its guests' QEMU wrote, for a test that failed.
func (l *Libvirtd) Log() string {
	const most = 32 << 10                 // bytes of each file
	guests, _ := filepath.Glob(guestLogs) // fails for a malformed pattern only
	var b strings.Builder
	for _, path := range append([]string{libvirtdLog}, guests...) {
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&b, "--- %s\n%s\n", path, text[max(0, len(text)-most):])
	}
	return b.String()
}
