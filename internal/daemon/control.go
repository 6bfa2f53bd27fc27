package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// controlSocket is where a running server answers who may do anything with its
// data directory: its own user, and root. It speaks HTTP:
//
//	POST /snapshot   the state, in the form of store.Store.Snapshot
const controlSocket = "run/control.sock"

// controlGrace is how long a snapshot may go on when the server stops.
const controlGrace = 10 * time.Second

// control serves the socket of a server.
type control struct {
	dir      *dataDir
	listener *net.UnixListener
}

// listenControl makes the socket. It comes into being where nobody else may look,
// and moves when it has its mode.
func listenControl(dir *dataDir) (*control, error) {
	made := dir.join("auth/.control.sock")
	var listener net.Listener
	err := errors.Join(removeIfThere(made), near(made, func(path string) (err error) {
		if listener, err = net.Listen("unix", path); err == nil {
			listener.(*net.UnixListener).SetUnlinkOnClose(false)
		}
		return err
	}))
	if err == nil {
		if err = errors.Join(os.Chmod(made, 0o600), os.Rename(made, dir.join(controlSocket))); err != nil {
			err = errors.Join(err, listener.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for this machine's administrator: %w", err)
	}
	return &control{dir, listener.(*net.UnixListener)}, nil
}

// near calls f with a short path of a socket: the kernel takes 107 bytes, and
// people's directories are longer.
func near(path string, f func(short string) error) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), filepath.Base(path)))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *control) close() error {
	return errors.Join(c.listener.Close(), removeIfThere(c.dir.join(controlSocket)))
}

// run serves until ctx is done.
func (c *control) run(ctx context.Context, snapshot func(context.Context, io.Writer) error) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /snapshot", func(w http.ResponseWriter, r *http.Request) {
		sent := &counted{to: w}
		if err := snapshot(r.Context(), sent); err != nil {
			if sent.n > 0 {
				panic(http.ErrAbortHandler) // half of it is with the client, who is to know
			}
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: controlGrace}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(c.listener) }()
	select {
	case err := <-done:
		return errors.Join(err, c.close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlGrace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // its listener is closed already
	}
	<-done
	return removeIfThere(c.dir.join(controlSocket))
}

// counted counts what was written.
type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// askControl sends a request to the server of a data directory and gives its
// answer to take.
func askControl(ctx context.Context, data, path string, take func(io.Reader) error) error {
	socket := filepath.Join(data, controlSocket)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
			err = near(socket, func(short string) error {
				conn, err = new(net.Dialer).DialContext(ctx, "unix", short)
				return err
			})
			return conn, err
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("no server runs on %s: start it with 'trifid up', or name its directory with --data", data)
		}
		return fmt.Errorf("ask the server on %s: %w", data, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
		return errors.Join(fmt.Errorf("the server on %s: %s", data, strings.TrimSpace(string(text))), err)
	}
	return take(res.Body)
}
