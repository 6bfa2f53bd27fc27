package gaterelay

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/trifid-cloud/trifid/internal/logline"
)

// Forwarder gives what doors accept to a gate on another machine, byte by byte.
type Forwarder struct {
	// Dial connects to the gate.
	Dial func(ctx context.Context) (net.Conn, error)
	Log  *slog.Logger

	unheard logline.Seldom
}

const (
	dialTime = 10 * time.Second
	// idleTime is longer than a guest waits for a change.
	idleTime  = 10 * time.Minute
	writeTime = time.Minute
)

// Serve forwards what a door accepts until the door is closed, and waits for the
// connections to end, which they do with the door.
func (f *Forwarder) Serve(door net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		guest, err := door.Accept()
		switch {
		case err == nil:
			conns.Go(func() { f.forward(ctx, guest) })
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Out of descriptors, most likely. The door stays open for later.
			f.Log.Warn("a guest's connection was not accepted", "err", err)
			pause(ctx, time.Second)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// forward carries one connection.
func (f *Forwarder) forward(ctx context.Context, guest net.Conn) {
	defer guest.Close()
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	gate, err := f.Dial(dialing)
	cancel()
	if err != nil {
		if others, ok := f.unheard.May(time.Now()); ok && ctx.Err() == nil {
			f.Log.Warn("the gate cannot be reached for a guest", "guest", guest.RemoteAddr().String(), "err", err, "others", others)
		}
		return
	}
	defer gate.Close()
	defer context.AfterFunc(ctx, func() { guest.Close(); gate.Close() })()
	var back sync.WaitGroup
	back.Go(func() { carry(guest, gate) })
	carry(gate, guest)
	back.Wait()
}

// carry copies one direction until it ends. Both are closed when it fails, so that
// the other ends too.
func carry(to, from net.Conn) {
	if err := copyBounded(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		to.Close()
	}
}

// copyBounded copies until the end, as long as something comes and is taken.
func copyBounded(to, from net.Conn) error {
	buf := make([]byte, 16<<10)
	for {
		if err := from.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return err
		}
		n, err := from.Read(buf)
		if n > 0 {
			if err := to.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
				return err
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
