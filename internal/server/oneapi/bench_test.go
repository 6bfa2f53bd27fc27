package oneapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/server/httpd"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

const connections = 16

// BenchmarkInfo calls one.vm.info over connections that stay open, server and
// clients sharing the machine. The clients do as little as they can, so that it
// is the server that is measured.
func BenchmarkInfo(b *testing.B) {
	s := newServer(b)
	s.id(b, "one.vm.allocate", `NAME="web-1" CPU=1 VCPU=2 MEMORY=768 GRAPHICS=[LISTEN="0.0.0.0",TYPE="VNC"] OS=[ARCH="x86_64",BOOT="disk0"]
		CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxhcmdlIGVub3VnaCB0byBiZSBhIGtleQ== ana@example.org"]
		DISK=[TYPE="fs",SIZE="1024",FORMAT="raw",TARGET="vda"] HYPERVISOR="kvm" LOGO="images/logos/alpine.png"`, true)
	web, err := httpd.Listen(httpd.Config{Addr: "127.0.0.1:0", Handler: s})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- web.Run(ctx) }()
	body := xmlrpc.AppendCall(nil, "one.vm.info", xmlrpc.String(oneadmin), xmlrpc.Int(0), xmlrpc.Bool(false))
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s", oneapi.Path, len(body), body)

	work := make(chan struct{}, connections)
	var clients sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range connections {
		clients.Go(func() { callForever(b, web.Addr().String(), request, work) })
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	clients.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	cancel()
	if err := <-stopped; err != nil {
		b.Error(err)
	}
}

// callForever sends the request once for each piece of work.
func callForever(b *testing.B, addr string, request []byte, work <-chan struct{}) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		for range work {
		}
		return
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	var answer []byte
	for range work {
		if _, err := c.Write(request); err != nil {
			b.Error(err)
			continue
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Error(err)
			continue
		}
		buf := bytes.NewBuffer(answer[:0])
		if _, err := io.Copy(buf, r.Body); err != nil {
			b.Error(err)
		}
		answer = buf.Bytes()
		if !bytes.Contains(answer, []byte("&lt;NAME&gt;web-1&lt;/NAME&gt;")) {
			b.Errorf("answer %s", answer)
		}
		if err := r.Body.Close(); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkServe is what one.vm.info costs without HTTP's connection.
func BenchmarkServe(b *testing.B) {
	s := newServer(b)
	s.id(b, "one.vm.allocate", "CPU=1 MEMORY=64", true)
	body := xmlrpc.AppendCall(nil, "one.vm.info", xmlrpc.String(oneadmin), xmlrpc.Int(0), xmlrpc.Bool(false))
	b.ReportAllocs()
	for b.Loop() {
		s.post(b, body)
	}
}
