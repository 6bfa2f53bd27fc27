package libvirt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Procedures of libvirt's RPC protocol that the tests answer.
const (
	procOpen      = 1
	procLookup    = 23
	procAuthList  = 66
	procVersion   = 157
	procAbortJob  = 164
	procState     = 212
	procSave      = 232
	procRegister  = 316
	procLifecycle = 318
	procStats     = 344
)

// daemon is a libvirtd that says what a test wants it to.
type daemon struct {
	t      *testing.T
	socket string
	// answer returns what a call is answered with; nil: nothing, for ever. drop
	// ends the connection.
	answer func(proc uint32) (reply []byte, drop bool)

	mu    sync.Mutex
	conns map[net.Conn]bool
	dials int
	calls map[uint32]int
	seen  chan uint32 // every call but those of connecting
	wg    sync.WaitGroup
}

func newDaemon(t *testing.T, answer func(proc uint32) ([]byte, bool)) *daemon {
	t.Helper()
	d := &daemon{
		t: t, answer: answer, socket: filepath.Join(t.TempDir(), "sock"),
		conns: make(map[net.Conn]bool), calls: make(map[uint32]int), seen: make(chan uint32, 1000),
	}
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	d.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns[c] = true
			d.dials++
			d.mu.Unlock()
			d.wg.Go(func() { d.serve(c) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		d.dropAll()
		d.wg.Wait()
	})
	return d
}

// dropAll ends every connection.
func (d *daemon) dropAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		_ = c.Close() // it may have been already
		delete(d.conns, c)
	}
}

func (d *daemon) count(proc uint32) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[proc]
}

func (d *daemon) dialled() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dials
}

// header is that of every packet.
type header struct {
	Length, Program, Version, Procedure, Type, Serial, Status uint32
}

const (
	program     = 0x20008086
	headerBytes = 28
)

func (d *daemon) serve(c net.Conn) {
	defer c.Close()
	for {
		var h header
		if err := binary.Read(c, binary.BigEndian, &h); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(h.Length)-headerBytes); err != nil {
			return
		}
		d.mu.Lock()
		d.calls[h.Procedure]++
		d.mu.Unlock()
		reply, drop := []byte{}, false
		switch h.Procedure {
		case procAuthList:
			reply = words(1, 0)
		case procOpen:
		default:
			d.seen <- h.Procedure
			reply, drop = d.answer(h.Procedure)
		}
		if drop {
			return
		}
		if reply == nil {
			continue
		}
		status := uint32(0)
		if failure, is := bytes.CutPrefix(reply, failed); is {
			reply, status = failure, 1
		}
		if err := send(c, header{Procedure: h.Procedure, Type: 1, Serial: h.Serial, Status: status}, reply); err != nil {
			return
		}
	}
}

// event sends an event to every connection.
func (d *daemon) event(body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		if err := send(c, header{Procedure: procLifecycle, Type: 2}, body); err != nil && !errors.Is(err, net.ErrClosed) {
			d.t.Log(err)
		}
	}
}

func send(c net.Conn, h header, body []byte) error {
	h.Program, h.Version, h.Length = program, 1, uint32(headerBytes+len(body))
	var buf bytes.Buffer
	if err := binary.Write(&buf, binary.BigEndian, h); err != nil {
		return err
	}
	buf.Write(body)
	_, err := c.Write(buf.Bytes())
	return err
}

// words and text are values as XDR writes them.
func words(ws ...uint32) []byte {
	var out []byte
	for _, w := range ws {
		out = binary.BigEndian.AppendUint32(out, w)
	}
	return out
}

func text(s string) []byte {
	out := append(words(uint32(len(s))), s...)
	return append(out, make([]byte, (4-len(s)%4)%4)...)
}

// failed marks a reply that is an error.
var failed = []byte("error:")

// failure is an error of libvirt's.
func failure(code uint32, message string) []byte {
	out := append(bytes.Clone(failed), words(code, 10, 1)...)
	out = append(out, text(message)...)
	return append(out, words(2)...)
}

// domain is a domain, whose UUID is its id sixteen times.
func domain(name string, id byte) []byte {
	out := append(text(name), bytes.Repeat([]byte{id}, 16)...)
	return append(out, words(uint32(id))...)
}

// statsOf is the answer to procStats: domains that run.
func statsOf(domains ...[]byte) []byte {
	out := words(uint32(len(domains)))
	for _, d := range domains {
		out = append(out, d...)
		out = append(out, words(2)...)
		for _, p := range []struct {
			name  string
			value uint32
		}{{"state.state", 1}, {"state.reason", 1}} {
			out = append(out, text(p.name)...)
			out = append(out, words(1, p.value)...)
		}
	}
	return out
}

// lifecycle is an event of callback 7.
func lifecycle(domain []byte, event, detail uint32) []byte {
	return append(append(words(7), domain...), words(event, detail)...)
}
