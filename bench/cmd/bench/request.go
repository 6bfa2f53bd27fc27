package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/bench/load"
	"github.com/trifid-cloud/trifid/bench/target"
)

// head returns a request line with the headers that curl sends for a guest.
func head(t *target.Trifid, method, path string, g guest) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nX-ONEGATE-TOKEN: %s\r\nX-ONEGATE-VMID: %d\r\n",
		method, path, t.Gate, g.token, g.vm)
}

// getRequest returns GET path of a guest.
func getRequest(t *target.Trifid, path string, g guest) []byte {
	return append(head(t, "GET", path, g), "\r\n"...)
}

const (
	attribute = "LOAD="
	digits    = 7 // of the value a PUT sets
)

// putRequest returns PUT path of a guest up to the value it sets.
func putRequest(t *target.Trifid, path string, g guest) []byte {
	return fmt.Appendf(head(t, "PUT", path, g), "Content-Length: %d\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n%s", len(attribute)+digits, attribute)
}

// appendValue appends a value of fixed size that is another one each time.
func appendValue(dst []byte, n int) []byte {
	var b [digits]byte
	for i := digits - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, b[:]...)
}

// turns sends the requests of the guests in turn.
func turns(requests [][]byte) load.Next {
	i := 0
	return func(dst []byte) ([]byte, int) {
		r := requests[i%len(requests)]
		i++
		return append(dst, r...), http.StatusOK
	}
}

// changes has the guests set a new value in turn, from *n on.
func changes(requests [][]byte, n *int) load.Next {
	return func(dst []byte) ([]byte, int) {
		*n++
		return appendValue(append(dst, requests[*n%len(requests)]...), *n), http.StatusOK
	}
}

// all returns a request of each guest.
func all(t *target.Trifid, guests []guest, request func(*target.Trifid, string, guest) []byte) [][]byte {
	out := make([][]byte, len(guests))
	for i, g := range guests {
		out[i] = request(t, "/vm", g)
	}
	return out
}

// fetch returns what a guest gets of itself.
func fetch(ctx context.Context, t *target.Trifid, g guest) (target.Page, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Gate.String()+"/vm", nil)
	if err != nil {
		return target.Page{}, err
	}
	r.Header.Set("X-ONEGATE-TOKEN", g.token)
	r.Header.Set("X-ONEGATE-VMID", strconv.Itoa(g.vm))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return target.Page{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return target.Page{}, err
	}
	if res.StatusCode != http.StatusOK {
		return target.Page{}, fmt.Errorf("GET /vm of VM %d: %s %s", g.vm, res.Status, body)
	}
	res.Header.Del("Date") // net/http sends its own
	return target.Page{Header: res.Header, Body: body}, nil
}

// storedSize returns about how many bytes the store writes when a guest changes
// its user template, which is all that the page shows of it.
func storedSize(p target.Page) int {
	_, rest, _ := bytes.Cut(p.Body, []byte(`"USER_TEMPLATE":`))
	text, _, _ := bytes.Cut(rest, []byte(`,"TEMPLATE"`))
	return len("vmuser:1 ") + len(text)
}
