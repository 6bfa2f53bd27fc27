package load

import (
	"bytes"
	"errors"
	"strconv"
)

// answer is what is looked at of an answer's head.
type answer struct {
	status int
	size   int  // of head and body
	last   bool // the server closes the connection after it
}

var (
	errNotHTTP  = errors.New("not an HTTP/1.1 answer")
	errNoLength = errors.New("answer without a Content-Length")
	errTooLarge = errors.New("answer too large")
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

var (
	version       = []byte("HTTP/1.1 ")
	endOfHead     = []byte("\r\n\r\n")
	contentLength = []byte("content-length")
	connection    = []byte("connection")
)

// parseAnswer reads the head of an answer; ok is false while it is not all there.
func parseAnswer(b []byte) (a answer, ok bool, err error) {
	n := min(len(b), len(version))
	if !bytes.Equal(b[:n], version[:n]) {
		return a, false, errNotHTTP
	}
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		if len(b) > maxAnswer {
			return a, false, errTooLarge
		}
		return a, false, nil
	}
	if end < len(version)+3 {
		return a, false, errNotHTTP
	}
	if a.status, err = strconv.Atoi(string(b[len(version) : len(version)+3])); err != nil || a.status < 200 {
		return a, false, errNotHTTP
	}
	body := -1
	if a.status == 204 || a.status == 304 {
		body = 0
	}
	_, head, _ := bytes.Cut(b[:end], endOfHead[:2])
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, endOfHead[:2])
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case body < 0 && bytes.EqualFold(name, contentLength):
			if body, err = strconv.Atoi(string(value)); err != nil || body < 0 {
				return a, false, errNotHTTP
			}
		case bytes.EqualFold(name, connection):
			a.last = bytes.EqualFold(value, []byte("close"))
		}
	}
	if body < 0 {
		return a, false, errNoLength
	}
	if body > maxAnswer {
		return a, false, errTooLarge
	}
	a.size = end + len(endOfHead) + body
	return a, true, nil
}
