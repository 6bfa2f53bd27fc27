// Package abuse is what a gate must stand: guests that are broken, greedy or
// hostile, each over connections of its own, as fast as they get answers.
package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Guest is a VM with its token.
type Guest struct {
	VM    int
	Token string
}

// Plan says whom to abuse, with which guests' tokens, for how long.
type Plan struct {
	Gate     netip.AddrPort
	Guests   []Guest
	Duration time.Duration
}

// Result is what came of it.
type Result struct {
	Requests int
	// Statuses counts answers by "what: status"; "cut" stands for a connection that
	// was closed without an answer.
	Statuses map[string]int
}

// Conns is how many connections all kinds have together.
func Conns() int {
	n := 0
	for _, k := range kinds {
		n += k.conns
	}
	return n
}

// kind is one sort of abuse.
type kind struct {
	name  string
	conns int
	pause time.Duration // between requests of a connection
	fresh bool          // a new connection each time
	send  func(a *abuser, w io.Writer) error
}

// kinds are those the gate is to stand.
var kinds = []kind{
	{name: "slow head", conns: 6, fresh: true, send: (*abuser).slowHead},
	{name: "slow body", conns: 6, fresh: true, send: (*abuser).slowBody},
	{name: "10 MB", conns: 4, fresh: true, send: (*abuser).huge},
	{name: "10 MB in chunks", conns: 4, fresh: true, send: (*abuser).hugeChunks},
	{name: "100,000 attributes", conns: 4, send: (*abuser).manyAttributes},
	{name: "bad names", conns: 4, send: (*abuser).badNames},
	{name: "binary body", conns: 4, send: (*abuser).binaryBody},
	{name: "not HTTP", conns: 4, fresh: true, send: (*abuser).notHTTP},
	{name: "bad token", conns: 6, send: (*abuser).badToken},
	{name: "two tokens", conns: 2, send: (*abuser).twoTokens},
	{name: "smuggled", conns: 2, fresh: true, send: (*abuser).smuggled},
	// One guest, 1,000 times a second.
	{name: "greedy writer", conns: 10, pause: 10 * time.Millisecond, send: (*abuser).write},
	{name: "enumerator", conns: 8, send: (*abuser).enumerate},
}

// Run abuses a gate.
func Run(ctx context.Context, p Plan) (Result, error) {
	if len(p.Guests) < 2 {
		return Result{}, fmt.Errorf("expected two guests at least, there are %d", len(p.Guests))
	}
	ctx, cancel := context.WithTimeout(ctx, p.Duration)
	defer cancel()
	r := Result{Statuses: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, k := range kinds {
		for i := range k.conns {
			wg.Go(func() {
				a := &abuser{plan: p, kind: k, ctx: ctx, random: rand.New(rand.NewPCG(1, uint64(i))), statuses: map[string]int{}}
				a.run()
				mu.Lock()
				defer mu.Unlock()
				for s, n := range a.statuses {
					r.Statuses[s] += n
					r.Requests += n
				}
			})
		}
	}
	wg.Wait()
	return r, nil
}

// abuser is one connection of abuse.
type abuser struct {
	plan     Plan
	kind     kind
	ctx      context.Context
	random   *rand.Rand
	count    int
	statuses map[string]int
}

// run abuses until the context ends, over a new connection whenever one was closed.
func (a *abuser) run() {
	for a.ctx.Err() == nil {
		if err := a.connection(); err != nil && a.ctx.Err() == nil {
			a.statuses[a.kind.name+": cut"]++
		}
	}
}

func (a *abuser) connection() error {
	var d net.Dialer
	c, err := d.DialContext(a.ctx, "tcp", a.plan.Gate.String())
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(a.ctx, func() { _ = c.Close() })() // whoever reads or writes learns of it
	in := bufio.NewReader(c)
	for {
		a.count++
		// What was refused is not read to the end: the answer counts, not the write.
		if err := a.kind.send(a, c); err != nil && a.ctx.Err() != nil {
			return nil
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		a.statuses[a.kind.name+": "+strconv.Itoa(res.StatusCode)]++
		if a.kind.fresh || res.Close {
			return nil
		}
		if err := a.pause(a.kind.pause); err != nil {
			return err
		}
	}
}

func (a *abuser) pause(d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}

// Serve is the process of abuse: the plan is on in, the result goes to out.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var p Plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	r, err := Run(ctx, p)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// head returns a request's first lines, without the empty one.
func (a *abuser) head(method, path string, g Guest) string {
	return method + " " + path + " HTTP/1.1\r\nHost: gate\r\nX-ONEGATE-TOKEN: " + g.Token + "\r\nX-ONEGATE-VMID: " + strconv.Itoa(g.VM) + "\r\n"
}

func (a *abuser) guest() Guest { return a.plan.Guests[a.random.IntN(len(a.plan.Guests))] }

func (a *abuser) put(w io.Writer, g Guest, body string) error {
	_, err := io.WriteString(w, a.head("PUT", "/vm", g)+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	return err
}

// drip sends a text a byte a second.
func (a *abuser) drip(w io.Writer, text string) error {
	for i := range len(text) {
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return err
		}
		if err := a.pause(time.Second); err != nil {
			return err
		}
	}
	return nil
}

func (a *abuser) slowHead(w io.Writer) error {
	return a.drip(w, a.head("GET", "/vm", a.guest())+"\r\n")
}

func (a *abuser) slowBody(w io.Writer) error {
	if _, err := io.WriteString(w, a.head("PUT", "/vm", a.guest())+"Content-Length: 1000\r\n\r\n"); err != nil {
		return err
	}
	return a.drip(w, strings.Repeat("A", 1000))
}

const tenMB = 10 << 20

var block = strings.Repeat("A=\"0123456789\"\n", 4096)

func (a *abuser) huge(w io.Writer) error {
	if _, err := io.WriteString(w, a.head("PUT", "/vm", a.guest())+"Content-Length: "+strconv.Itoa(tenMB)+"\r\n\r\n"); err != nil {
		return err
	}
	for sent := 0; sent < tenMB; sent += len(block) {
		if _, err := io.WriteString(w, block[:min(len(block), tenMB-sent)]); err != nil {
			return err
		}
	}
	return nil
}

func (a *abuser) hugeChunks(w io.Writer) error {
	if _, err := io.WriteString(w, a.head("PUT", "/vm", a.guest())+"Transfer-Encoding: chunked\r\n\r\n"); err != nil {
		return err
	}
	for sent := 0; sent < tenMB; sent += len(block) {
		if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(block), block); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return err
}

// attributes is less than a megabyte: it is their number that is too large.
var attributes = sync.OnceValue(func() string {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "A%d=1\n", i)
	}
	return b.String()
})

func (a *abuser) manyAttributes(w io.Writer) error { return a.put(w, a.guest(), attributes()) }

func (a *abuser) badNames(w io.Writer) error {
	names := []string{"<script>=1", "A B=1", "=1", "A/../B=1", "A=[B=[C=1]]", "Ü=1", "A=[", "\x00=1", "A=\"", strings.Repeat("N", 20_000) + "=1"}
	return a.put(w, a.guest(), names[a.count%len(names)])
}

func (a *abuser) binaryBody(w io.Writer) error {
	return a.put(w, a.guest(), string(a.noise(1+a.random.IntN(4096))))
}

func (a *abuser) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.random.Uint32())
	}
	return b
}

func (a *abuser) notHTTP(w io.Writer) error {
	_, err := w.Write(append(a.noise(1+a.random.IntN(4096)), "\r\n\r\n"...))
	return err
}

// badToken sends one that is cut off, of another VM, damaged, far too long or empty.
func (a *abuser) badToken(w io.Writer) error {
	g, other := a.guest(), a.guest()
	switch a.count % 5 {
	case 0:
		g.Token = g.Token[:len(g.Token)/2]
	case 1:
		g.Token, g.VM = other.Token, g.VM+1
	case 2:
		g.Token = strings.ToUpper(g.Token)
	case 3:
		g.Token = strings.Repeat(g.Token, 200)
	case 4:
		g.Token = ""
	}
	_, err := io.WriteString(w, a.head("GET", "/vm", g)+"\r\n")
	return err
}

func (a *abuser) twoTokens(w io.Writer) error {
	g, other := a.guest(), a.guest()
	_, err := io.WriteString(w, a.head("GET", "/vm", g)+"X-ONEGATE-TOKEN: "+other.Token+"\r\nX-ONEGATE-VMID: "+strconv.Itoa(other.VM)+"\r\n\r\n")
	return err
}

// smuggled has two lengths, so that a proxy and the server might not agree on
// where the next request begins.
func (a *abuser) smuggled(w io.Writer) error {
	g := a.guest()
	inner := a.head("PUT", "/vms/"+strconv.Itoa(a.guest().VM), g) + "Content-Length: 0\r\n\r\n"
	_, err := io.WriteString(w, a.head("PUT", "/vm", g)+"Content-Length: "+strconv.Itoa(len(inner)+5)+"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+inner)
	return err
}

func (a *abuser) write(w io.Writer) error {
	return a.put(w, a.plan.Guests[1], "GREEDY="+strconv.Itoa(a.count))
}

func (a *abuser) enumerate(w io.Writer) error {
	_, err := io.WriteString(w, a.head("GET", "/vms/"+strconv.Itoa(a.count%20_000), a.plan.Guests[1])+"\r\n")
	return err
}
