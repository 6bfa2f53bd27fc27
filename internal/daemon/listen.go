package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// face is one protocol on one listener. Its handler is set before it runs: what
// it serves is built when the listeners are open, because guests are told their
// addresses.
type face struct {
	name    string
	server  *httpd.Server
	tls     bool
	handler http.Handler
}

// openFaces binds the addresses of all faces.
func (s *server) openFaces() error {
	l := s.Config.Listen
	for _, f := range []struct{ name, addr string }{{"core", l.Core}, {"flow", l.Flow}, {"gate", l.Gate}, {"metrics", l.Metrics}} {
		if f.addr == "" {
			continue
		}
		face := &face{name: f.name}
		c := httpd.Config{
			Addr: f.addr, Log: s.Log.With("component", f.name),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { face.handler.ServeHTTP(w, r) }),
		}
		if g := s.Config.Gate; f.name == "gate" && g.Certificate != "" {
			var err error
			if c.TLS, err = gateapi.TLSConfig(g.Certificate, g.Key, c.Log, time.Now); err != nil {
				return err
			}
			face.tls = true
		}
		srv, err := httpd.Listen(c)
		if err != nil {
			return listenError(f.name, err)
		}
		face.server = srv
		s.faces = append(s.faces, face)
	}
	return nil
}

// listenError says which address could not be had, and what to do.
func listenError(name string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: another program listens there (ss -ltnp names it); stop it, or give another address in listen.%s", err, name)
	}
	return fmt.Errorf("%w; give another address in listen.%s", err, name)
}

func (f *face) addr() *net.TCPAddr { return f.server.Addr().(*net.TCPAddr) }

// url returns where the face answers. A wildcard address is named by one that
// works from this machine.
func (f *face) url(path string) string {
	host := f.addr().IP.String()
	if f.addr().IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return f.at(host) + path
}

// at is the URL of the face at one of its hosts.
func (f *face) at(host string) string {
	scheme := "http://"
	if f.tls {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(f.addr().Port))
}

// guestURL returns where guests reach the face: its own address, or for a
// wildcard the machine's first address that others can reach.
func (f *face) guestURL() string {
	if !f.addr().IP.IsUnspecified() {
		return f.url("")
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return f.url("")
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return f.at(n.IP.String())
		}
	}
	return f.url("")
}
