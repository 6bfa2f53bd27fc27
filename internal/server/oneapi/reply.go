package oneapi

import (
	"iter"
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// Pools of thousands of objects are tens of megabytes. They are escaped in pieces
// of docPiece bytes and sent in pieces of outPiece, so that a call needs no more
// memory for many objects than for few, and its client reads while we write.
const (
	docPiece = 32 << 10
	outPiece = 256 << 10
)

// reply is the answer to a call on its way out: in one piece that says its length,
// or in several when it is larger than outPiece.
type reply struct {
	w     httpd.Pieces
	out   []byte // what is not sent yet
	begun bool   // a document has been begun in out
	sent  bool   // some has been sent, without a length
	err   error  // why no more can be sent
}

// spill takes over what has been written of a document if that is much, and
// returns what to go on with.
func (p *reply) spill(doc []byte) []byte {
	if len(doc) < docPiece {
		return doc
	}
	p.take(doc)
	if len(p.out) >= outPiece {
		p.send()
	}
	return doc[:0]
}

func (p *reply) take(doc []byte) {
	if !p.begun {
		p.begun = true
		p.out = xmlrpc.AppendTextBegin(p.out)
	}
	p.out = xmlrpc.AppendEscaped(p.out, doc)
}

// document takes over the rest of a document.
func (p *reply) document(rest []byte) {
	p.take(rest)
	p.out = xmlrpc.AppendTextEnd(p.out)
}

// restart drops what there is, for another answer. Where some has been sent it is
// too late for that: the connection ends, which tells the client.
func (p *reply) restart() {
	if p.sent {
		panic(http.ErrAbortHandler)
	}
	p.out, p.begun = p.out[:0], false
}

// send sends what there is. Once that has failed nothing is sent any more.
func (p *reply) send() {
	p.w.W.Header()["Content-Type"] = contentType
	if p.err == nil {
		_, p.err = p.w.Write(p.out)
	}
	p.sent, p.out = true, p.out[:0]
}

// end sends the rest.
func (p *reply) end() error {
	if !p.sent {
		h := p.w.W.Header()
		h["Content-Type"] = contentType
		h["Content-Length"] = []string{strconv.Itoa(len(p.out))}
		return httpd.Answer(p.w.W, p.out)
	}
	p.send()
	return p.err
}

// appendPool appends a pool to the answer's document.
func appendPool[T any](c *call, root string, items iter.Seq[T], write func([]byte, T) []byte) []byte {
	return onexml.SpillPool(c.doc, root, items, write, c.reply.spill)
}
