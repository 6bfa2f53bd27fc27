package load

import "testing"

func TestParseAnswer(t *testing.T) {
	for _, c := range []struct {
		in   string
		want answer
		ok   bool
		err  error
	}{
		{in: ""},
		{in: "HTT"},
		{in: "HTTP/1.1 200 OK\r\nContent-Le"},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", want: answer{status: 200, size: 41}, ok: true},
		{in: "HTTP/1.1 401 Unauthorized\r\nconnection: Close\r\ncontent-length:0\r\n\r\n", want: answer{status: 401, size: 66, last: true}, ok: true},
		{in: "HTTP/1.1 204 No Content\r\n\r\n", want: answer{status: 204, size: 27}, ok: true},
		{in: "HTTP/1.0 200 OK\r\n\r\n", err: errNotHTTP},
		{in: "SSH-2.0", err: errNotHTTP},
		{in: "HTTP/1.1 \r\n\r\n", err: errNotHTTP},
		{in: "HTTP/1.1 2x0 OK\r\n\r\n", err: errNotHTTP},
		{in: "HTTP/1.1 100 Continue\r\n\r\n", err: errNotHTTP},
		{in: "HTTP/1.1 200 OK\r\n\r\n", err: errNoLength},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", err: errNotHTTP},
		{in: "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", err: errTooLarge},
	} {
		got, ok, err := parseAnswer([]byte(c.in))
		if ok != c.ok || err != c.err || ok && got != c.want {
			t.Errorf("%q: %+v, %v, %v; want %+v, %v, %v", c.in, got, ok, err, c.want, c.ok, c.err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok, err := parseAnswer(b)
		if ok && (err != nil || a.size < 4 || a.size > len(b)+maxAnswer || a.status < 200) {
			t.Errorf("%q: %+v, %v", b, a, err)
		}
	})
}
