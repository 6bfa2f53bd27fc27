package oneapi

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/tmpl"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// call is one call of a method, authenticated and with its parameters read. The
// session is parameter 0, so that numbers are those of the reference.
type call struct {
	*API
	ctx    context.Context
	who    auth.Caller
	method *method
	args   [maxParams]arg
	doc    []byte // an empty buffer for a document
	reply  *reply
}

// arg is a parameter as its method declares it.
type arg struct {
	text     string
	n        int64
	list     []int
	template *tmpl.Template
}

func (c *call) text(i int) string             { return c.args[i].text }
func (c *call) int(i int) int                 { return int(c.args[i].n) }
func (c *call) bool(i int) bool               { return c.args[i].n != 0 }
func (c *call) ints(i int) []int              { return c.args[i].list }
func (c *call) template(i int) *tmpl.Template { return c.args[i].template }

// query reads the filter and the range of a pool query, parameters 1 to 3.
func (c *call) query() cloud.PoolQuery {
	return cloud.PoolQuery{Filter: c.int(1), Start: c.int(2), End: c.int(3)}
}

// docs returns what renders the documents of a version of the state.
func (c *call) docs(st *cloud.View) *onexml.Docs {
	d := &onexml.Docs{State: st, Body: c.body}
	if c.monitor != nil {
		d.Monitor = c.monitor
	}
	return d
}

// answer is what a method returns: a document, else a value.
type answer struct {
	value xmlrpc.Value
	doc   []byte
}

// id answers with an id.
func id(n int) answer { return answer{value: xmlrpc.Int(n)} }

// str answers with a string.
func str(s string) answer { return answer{value: xmlrpc.String(s)} }

// done answers with parameter i, the id of the object that was changed.
func (c *call) done(i int) answer { return id(c.int(i)) }

// text answers with a document.
func text(doc []byte) answer { return answer{doc: doc} }

// answer serves the call that b.in holds. What it is answered is in the reply, as
// far as it has not been sent.
func (a *API) answer(to *reply, b *buffers, r *http.Request) {
	in, err := xmlrpc.ParseCall(b.in, a.limits)
	if err != nil {
		to.out = appendFault(to.out, err)
		return
	}
	m, ok := a.methods[in.Method]
	if !ok {
		to.out = xmlrpc.AppendFault(to.out, xmlrpc.NoSuchMethod(in.Method))
		return
	}
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("method panicked", "method", m.name, "panic", p, "stack", string(debug.Stack()))
			to.restart()
			to.out = xmlrpc.AppendFault(to.out, &xmlrpc.Fault{Code: xmlrpc.FaultInternal, Message: "Internal error; see the server's log."})
		}
	}()
	res, err := a.serve(to, r, in, m, b.doc[:0])
	switch {
	case err != nil:
		to.restart()
		if fault, ok := errors.AsType[*xmlrpc.Fault](err); ok {
			to.out = xmlrpc.AppendFault(to.out, fault)
			return
		}
		to.out = xmlrpc.AppendFailure(to.out, a.failure(m.name, err))
	case res.doc != nil:
		b.doc = res.doc
		to.document(res.doc)
	default:
		to.out = xmlrpc.AppendSuccess(to.out, res.value)
	}
}

// serve authenticates, reads the parameters and runs the method, in this order:
// who may not call at all learns nothing of what is wrong with his call.
func (a *API) serve(to *reply, r *http.Request, in xmlrpc.Call, m *method, doc []byte) (answer, error) {
	args := in.Args()
	session := args.Text(0)
	if err := args.Err(); err != nil {
		return answer{}, err
	}
	who, err := a.cloud.Authenticate(r.Context(), session, address(r))
	if err != nil {
		return answer{}, err
	}
	who.ReqID = int(a.reqID.Add(1) & 0x7fffffff)
	c := &call{API: a, ctx: r.Context(), who: who, method: m, doc: doc, reply: to}
	if m.run == nil {
		return answer{}, errs.New(errs.NotSupported, "[%s] not supported yet", m.name)
	}
	if err := m.read(args, &c.args); err != nil {
		return answer{}, err
	}
	if m.writes && a.zoneDisabled() {
		return answer{}, errs.New(errs.Internal, "Cannot process request, zone disabled")
	}
	return m.run(c)
}

// zoneDisabled tells whether this zone takes no writes.
func (a *API) zoneDisabled() bool {
	z, ok := a.cloud.View().Zones.Get(a.cloud.Zone())
	return ok && z.Disabled
}

// failure turns an error into the failure array. What has no kind is a fault of
// ours: its detail goes to the log. Source: XML-RPC reference §2.
func (a *API) failure(method string, err error) *xmlrpc.Failure {
	if _, known := errors.AsType[*errs.Error](err); !known {
		a.log.Error("method failed", "method", method, "err", err)
	}
	kind := errs.KindOf(err)
	f := &xmlrpc.Failure{Message: "[" + method + "] " + errs.Text(err), Code: kind.Code(), ObjectID: errs.ID(err), ReplicationIndex: -1}
	if kind == errs.NotSupported {
		f.Message = errs.Text(err) // it names the method itself
	}
	return f
}

func appendFault(dst []byte, err error) []byte {
	fault, ok := errors.AsType[*xmlrpc.Fault](err)
	if !ok {
		fault = &xmlrpc.Fault{Code: xmlrpc.FaultInternal, Message: "Internal error; see the server's log."}
	}
	return xmlrpc.AppendFault(dst, fault)
}

// owned returns an object of a kind, as T.
func owned[T one.Owned](c *call, kind one.Kind, id int) (*cloud.View, T, error) {
	st, o, err := c.cloud.Info(c.who, kind, id)
	if err != nil {
		var none T
		return nil, none, err
	}
	return st, o.(T), nil
}
