package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loop drives all connections from one thread.
type loop struct {
	cfg    Config
	epoll  int
	timer  int // timerfd of the rate, -1 without one
	conns  []conn
	free   []int // indexes of connections with nothing to do, with a rate
	busy   int
	begun  int
	start  time.Time
	result Result
}

// conn is a connection; its index in loop.conns is the data of its events.
type conn struct {
	fd     int // -1: not open
	out    []byte
	sent   int
	in     []byte
	got    int
	due    time.Time
	status int // expected
	asking bool
	opens  int // which local address is next
}

// patience is how long to wait for events at once.
const patience = time.Second

// timerEvent is the data of the timer's events.
const timerEvent = -1

func newLoop(cfg Config) (*loop, error) {
	l := &loop{cfg: cfg, timer: -1, conns: make([]conn, cfg.Conns)}
	room := cfg.Requests
	if room == 0 {
		room = int(cfg.Duration.Seconds()*100_000) + 1024
	}
	l.result.latencies = make([]time.Duration, 0, room)
	for i := range l.conns {
		l.conns[i] = conn{fd: -1, in: make([]byte, 8<<10), opens: i}
		l.free = append(l.free, i)
	}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if cfg.Rate > 0 {
		if err := l.openTimer(); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	if cfg.Fresh {
		return l, nil
	}
	for i := range l.conns {
		if err := l.open(i); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	return l, nil
}

// openTimer makes the timer that fires for each request of the rate.
func (l *loop) openTimer() error {
	var err error
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	each := unix.NsecToTimespec(max(1, int64(1e9/l.cfg.Rate)))
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	return l.register(l.timer, timerEvent, unix.EPOLLIN)
}

func (l *loop) register(fd, data int, events uint32) error {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(data)})
	return os.NewSyscallError("epoll_ctl", err)
}

func (l *loop) close() error {
	var err error
	for i := range l.conns {
		err = errors.Join(err, l.shut(i))
	}
	if l.timer >= 0 {
		err = errors.Join(err, unix.Close(l.timer))
	}
	return errors.Join(err, unix.Close(l.epoll))
}

// localAddresses are how many addresses of the loopback network fresh connections
// come from: one alone runs out of ports, which wait a minute after each use.
const localAddresses = 64

// open begins to connect.
func (l *loop) open(i int) error {
	c := &l.conns[i]
	family := unix.AF_INET
	if l.cfg.Addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd = fd
	if l.cfg.Fresh && family == unix.AF_INET && l.cfg.Addr.Addr().IsLoopback() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + c.opens%localAddresses)}}
		c.opens += len(l.conns)%localAddresses + 1
		if err := unix.Bind(fd, from); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(fd, sockaddr(l.cfg.Addr)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return l.register(fd, i, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// shut closes a connection that is open.
func (l *loop) shut(i int) error {
	c := &l.conns[i]
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return os.NewSyscallError("close", unix.Close(fd))
}

func (l *loop) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.start = time.Now()
	if l.cfg.Rate == 0 {
		if err := l.beginFree(l.start); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 256)
	idle := time.Duration(0)
	for l.busy > 0 || l.more(time.Now()) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := unix.EpollWait(l.epoll, events, int(patience/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("epoll_wait", err)
		}
		if idle += patience; n != 0 {
			idle = 0
		} else if idle > overtime {
			return fmt.Errorf("%d requests have no answer after %v", l.busy, overtime)
		}
		for _, e := range events[:max(n, 0)] {
			if err := l.event(e); err != nil {
				return err
			}
		}
	}
	l.result.Elapsed = time.Since(l.start)
	return nil
}

func (l *loop) event(e unix.EpollEvent) error {
	if int(e.Fd) != timerEvent {
		return l.serve(int(e.Fd), e.Events)
	}
	var ticks [8]byte
	if _, err := unix.Read(l.timer, ticks[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return os.NewSyscallError("read of timer", err)
	}
	return l.beginDue(time.Now())
}

// more tells whether there is a request left to begin.
func (l *loop) more(now time.Time) bool {
	if l.cfg.Requests > 0 {
		return l.begun < l.cfg.Requests
	}
	if l.cfg.Rate > 0 {
		return l.begun < int(l.cfg.Rate*l.cfg.Duration.Seconds())
	}
	return now.Sub(l.start) < l.cfg.Duration
}

// beginFree begins a request on each free connection.
func (l *loop) beginFree(now time.Time) error {
	for len(l.free) > 0 && l.more(now) {
		if err := l.begin(now); err != nil {
			return err
		}
	}
	return nil
}

// beginDue begins what the rate asks for, as far as connections are free.
func (l *loop) beginDue(now time.Time) error {
	for len(l.free) > 0 && l.more(now) {
		due := l.start.Add(time.Duration(float64(l.begun+1) / l.cfg.Rate * 1e9))
		if due.After(now) {
			return nil
		}
		if err := l.begin(due); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a request on a free connection.
func (l *loop) begin(due time.Time) error {
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	c := &l.conns[i]
	c.due, c.asking, c.sent, c.got = due, true, 0, 0
	c.out, c.status = l.cfg.Next(c.out[:0])
	l.begun++
	l.busy++
	if c.fd < 0 {
		return l.open(i) // its first event tells that it is connected
	}
	return l.write(i)
}

// serve goes on with a connection that something happened to.
func (l *loop) serve(i int, events uint32) error {
	c := &l.conns[i]
	if c.fd < 0 {
		return nil
	}
	if !c.asking {
		if events&(unix.EPOLLHUP|unix.EPOLLRDHUP|unix.EPOLLERR) != 0 {
			return l.shut(i)
		}
		return nil
	}
	if c.sent < len(c.out) && events&unix.EPOLLOUT != 0 {
		if err := l.write(i); err != nil {
			return err
		}
	}
	if c.asking && events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		return l.read(i)
	}
	return nil
}

func (l *loop) write(i int) error {
	c := &l.conns[i]
	for c.sent < len(c.out) {
		n, err := unix.Write(c.fd, c.out[c.sent:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return l.broken(i, err)
		default:
			c.sent += n
		}
	}
	return nil
}

func (l *loop) read(i int) error {
	c := &l.conns[i]
	for {
		if c.got == len(c.in) {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		n, err := unix.Read(c.fd, c.in[c.got:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return l.broken(i, err)
		case n == 0:
			return l.broken(i, errors.New("closed before the answer was there"))
		}
		c.got += n
		a, ok, err := parseAnswer(c.in[:c.got])
		if err != nil {
			return l.broken(i, err)
		}
		if ok && c.got >= a.size {
			return l.answered(i, a)
		}
		if c.got < len(c.in) {
			return nil // edge triggered: a read that did not fill the room emptied the socket
		}
	}
}

// answered takes an answer down and goes on.
func (l *loop) answered(i int, a answer) error {
	c := &l.conns[i]
	now := time.Now()
	l.result.Requests++
	l.result.latencies = append(l.result.latencies, now.Sub(c.due))
	if a.status != c.status {
		l.result.Wrong++
		l.example(fmt.Sprintf("%d, expected %d: %.300s", a.status, c.status, c.in[:c.got]))
	}
	if l.cfg.Fresh || a.last {
		if err := l.shut(i); err != nil {
			return err
		}
	}
	return l.ended(i, now)
}

// broken takes down that a connection failed and goes on with another.
func (l *loop) broken(i int, cause error) error {
	l.result.Broken++
	l.example(cause.Error())
	if l.result.Broken > 100 && l.result.Broken > l.result.Requests {
		return fmt.Errorf("the server does not answer: %w", cause)
	}
	if err := l.shut(i); err != nil {
		return err
	}
	return l.ended(i, time.Now())
}

func (l *loop) example(text string) {
	const most = 5
	if len(l.result.Examples) < most {
		l.result.Examples = append(l.result.Examples, text)
	}
}

// ended frees the connection of a request and begins what is next.
func (l *loop) ended(i int, now time.Time) error {
	l.conns[i].asking = false
	l.busy--
	l.free = append(l.free, i)
	if l.cfg.Rate > 0 {
		return l.beginDue(now)
	}
	return l.beginFree(now)
}
