package oneapi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/trifid-cloud/trifid/internal/server/httpd"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

var contentType = []string{"text/xml; charset=utf-8"}

// ServeHTTP takes one call. Whatever is wrong with it beyond HTTP is answered in
// XML-RPC, with status 200. Source: XML-RPC reference §1.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "expected POST", http.StatusMethodNotAllowed)
		return
	}
	b := a.buffers.Get().(*buffers)
	defer a.recycle(b)
	from := &bounded{from: httpd.Body(w, r), budget: &a.reading}
	var err error
	b.in, err = xmlrpc.ReadMessage(b.in[:0], from, a.limits)
	var fault *xmlrpc.Fault
	to := &reply{w: httpd.Pieces{W: w}, out: b.out[:0]}
	switch {
	case err == nil:
		a.answer(to, b, r)
	case errors.As(err, &fault):
		to.out = xmlrpc.AppendFault(to.out, fault)
		w.Header().Set("Connection", "close") // the rest of the call is not read
	case errors.Is(err, errBusy):
		to.out = xmlrpc.AppendFault(to.out, &xmlrpc.Fault{Code: xmlrpc.FaultLimit, Message: err.Error()})
		w.Header().Set("Connection", "close")
	default: // the client went away, or dawdled
		from.release()
		return
	}
	from.release()
	b.out = to.out
	if err := to.end(); err != nil {
		a.log.Debug("answer not taken", "from", r.RemoteAddr, "err", err)
	}
}

// address returns who calls, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// budget bounds what all calls that are being read hold together.
type budget struct{ left atomic.Int64 }

var errBusy = errors.New("too many large calls are being read, try again later")

// freeBytes is what every call may have whatever others hold: nearly all calls
// are smaller, so large ones do not stand in their way.
const freeBytes = 64 << 10

// bounded reads a body within the budget.
type bounded struct {
	from   io.Reader
	budget *budget
	total  int64
	held   int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.total += int64(n)
	if more := b.total - freeBytes - b.held; more > 0 {
		if b.budget.left.Add(-more) < 0 {
			b.budget.left.Add(more)
			return n, errBusy
		}
		b.held += more
	}
	return n, err
}

// release gives back what the call held.
func (b *bounded) release() {
	b.budget.left.Add(b.held)
	b.held = 0
}
