package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
)

// Commands by which the benchmark program is a peer.
const (
	HandlerCommand = "peer-handler"
	EtcdCommand    = "peer-etcd"
)

// Page is what the bare handler answers.
type Page struct {
	Header http.Header
	Body   []byte
}

// Handler is a bare net/http server that answers every request with one page.
type Handler struct {
	*Process
	Addr netip.AddrPort
}

// StartHandler starts one, as a process of this program. Its log goes to dir.
func StartHandler(ctx context.Context, dir string, page Page) (h *Handler, err error) {
	p, err := startPeer(dir, HandlerCommand)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.Kill() // the error that matters is the one there is
		}
	}()
	b, err := json.Marshal(page)
	if err != nil {
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	if err := p.say(string(b)); err != nil {
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	line, err := p.line(ctx)
	if err != nil {
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	addr, err := netip.ParseAddrPort(line)
	if err != nil {
		return nil, fmt.Errorf("start the bare handler: %w", err)
	}
	return &Handler{p, addr}, nil
}

func startPeer(dir, command string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return start(filepath.Join(dir, command+".log"), self, append([]string{command}, args...)...)
}

// ServeHandler is the bare handler's process: it reads the page from standard
// input, says where it listens, and serves until the input ends.
func ServeHandler() error {
	in := json.NewDecoder(os.Stdin)
	var page Page
	if err := in.Decode(&page); err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Println(l.Addr()); err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range page.Header {
			h[name] = values
		}
		_, _ = w.Write(page.Body) // a client that has gone is not the handler's business
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	_ = in.Decode(&page) // the end of the input
	err = srv.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
