package oneapi_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
	"github.com/trifid-cloud/trifid/internal/server/oneapi"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
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

// BenchmarkPool lists 10,000 VMs, from the request to the last byte.
func BenchmarkPool(b *testing.B) {
	s := newServer(b)
	const vms, batch = 10_000, 200
	body, err := tmpl.Parse(`CPU=1 MEMORY=256 VMID=1 CONTEXT=[NETWORK=YES,ETH0_IP="10.0.0.1"] OS=[UUID="5f6a2e0c-7f7e-4a52-9a2f-0b7f0e1d2c3b"]
		DISK=[CLONE=YES,DATASTORE=default,DATASTORE_ID=1,DISK_ID=0,IMAGE=disk,IMAGE_ID=0,SIZE=1024,TYPE=FILE] NIC=[IP="10.0.0.1",MAC="02:00:0a:00:00:01",NETWORK=lan,NETWORK_ID=0]`)
	if err != nil {
		b.Fatal(err)
	}
	for from := 0; from < vms; from += batch {
		s.Do(func(tx *store.Tx) {
			for id := from; id < from+batch; id++ {
				v := &one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: id, UName: "oneadmin", GName: "oneadmin", Name: "web"}, State: one.VMHold, ServiceID: -1, VRouterID: -1, Template: body}}
				tx.PutVM(v.WithNewRecord(one.History{Hostname: "edge1", VMMad: "kvm", TMMad: "ssh"}))
			}
		})
	}
	for _, method := range []string{"one.vmpool.info", "one.vmpool.infoextended"} {
		call := xmlrpc.AppendCall(nil, method, xmlrpc.String(oneadmin), xmlrpc.Int(-2), xmlrpc.Int(-1), xmlrpc.Int(-1), xmlrpc.Int(-1))
		b.Run(method, func(b *testing.B) {
			web := httptest.NewServer(s)
			defer web.Close()
			defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.Post(web.URL+oneapi.Path, "text/xml", bytes.NewReader(call))
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r.Body)
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Body.Close(); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
