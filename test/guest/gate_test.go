package guest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
)

// standInGate answers a guest's requests in place of the real gate: it hands out one user template attribute and records
// what it is told.
type standInGate struct {
	t     *testing.T
	token string
	vmID  string
	puts  chan string // bodies of accepted PUT requests, in order; a full channel drops
	asked chan string // paths of other accepted requests than for the machine itself; likewise

	mu   sync.Mutex
	load string // DEMO_LOAD; empty: none
}

// serve listens at the given address, on a port of the kernel's choice, until the test ends, and returns its URL.
func (g *standInGate) serve(addr netip.Addr) string {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		g.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /vm", g.show)
	mux.HandleFunc("PUT /vm", g.update)
	mux.HandleFunc("GET /service", g.service)
	server := httptest.NewUnstartedServer(g.authenticated(mux))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	g.t.Cleanup(server.Close)
	return server.URL
}

func (g *standInGate) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ONEGATE-TOKEN") != g.token || r.Header.Get("X-ONEGATE-VMID") != g.vmID {
			g.t.Errorf("%s %s with wrong credentials: %v", r.Method, r.URL, r.Header)
			http.Error(w, "Not authorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *standInGate) setLoad(load string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.load = load
}

func (g *standInGate) show(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	attribute := ""
	if g.load != "" {
		attribute = fmt.Sprintf(`,"DEMO_LOAD":%q`, g.load)
	}
	fmt.Fprintf(w, `{"VM":{"NAME":"g","ID":%q,"USER_TEMPLATE":{"HYPERVISOR":"kvm"%s},"TEMPLATE":{"NIC":[]}}}`,
		g.vmID, attribute)
}

func (g *standInGate) service(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, `{"SERVICE":{"name":"s","id":"3","state":2,"roles":[]}}`)
	select {
	case g.asked <- r.URL.Path:
	default:
	}
}

func (g *standInGate) update(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// As the real gate may, notice a client that hangs up before it has its answer.
	if r.Context().Err() != nil {
		g.t.Errorf("the guest has hung up before the answer to %q", body)
	}
	select {
	case g.puts <- string(body):
	default:
	}
}
