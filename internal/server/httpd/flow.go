package httpd

import (
	"io"
	"net/http"
	"time"
)

// minRate is what a client must send or take once the timeouts have passed,
// bytes per second: a slow line may, a client that only holds a connection may not.
const minRate = 16 << 10

// free is how much may arrive before the read deadline is looked after: most
// requests are smaller, and cost nothing.
const free = 64 << 10

// Body returns the body of a request, read as long as it arrives at a fair rate.
func Body(w http.ResponseWriter, r *http.Request) io.Reader {
	return &body{from: r.Body, control: http.NewResponseController(w)}
}

type body struct {
	from    io.Reader
	control *http.ResponseController
	began   time.Time // when the first extension was made
	total   int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.total += int64(n)
	if b.total < free || err != nil {
		return n, err
	}
	if b.began.IsZero() {
		b.began = time.Now()
	}
	// A writer that has no deadlines, as those of tests, needs no extension.
	_ = b.control.SetReadDeadline(b.began.Add(fair(b.total)))
	return n, nil
}

// Answer writes the whole of an answer, whose header is set. A client that takes
// it slowly, but takes it, gets all of it.
func Answer(w http.ResponseWriter, text []byte) error {
	if len(text) > free {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fair(int64(len(text)))))
	}
	_, err := w.Write(text)
	return err
}

// Pieces writes an answer that is sent while it is made. As with Answer, a client
// that takes it slowly, but takes it, gets all of it.
type Pieces struct {
	W     http.ResponseWriter
	began time.Time
	total int64
}

// Write sends a piece.
func (p *Pieces) Write(piece []byte) (int, error) {
	if p.began.IsZero() {
		p.began = time.Now()
	}
	p.total += int64(len(piece))
	_ = http.NewResponseController(p.W).SetWriteDeadline(p.began.Add(fair(p.total)))
	return p.W.Write(piece)
}

// fair is how long so many bytes may take.
func fair(bytes int64) time.Duration {
	return time.Minute + time.Duration(bytes)*time.Second/minRate
}
