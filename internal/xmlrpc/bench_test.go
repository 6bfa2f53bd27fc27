package xmlrpc

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// vmDocument is a VM as a pool holds it, about 1.3 kB.
func vmDocument(dst []byte, id int) []byte {
	dst = AppendOpen(dst, "VM")
	dst = AppendInt(dst, "ID", id)
	for _, name := range []string{"UID", "GID", "LAST_POLL", "STATE", "LCM_STATE", "RESCHED", "STIME", "ETIME"} {
		dst = AppendInt(dst, name, 1700000000)
	}
	dst = AppendElem(dst, "UNAME", "oneadmin")
	dst = AppendElem(dst, "NAME", fmt.Sprintf("web-%d", id))
	dst = AppendOpen(dst, "TEMPLATE")
	for range 3 {
		dst = AppendOpen(dst, "DISK")
		for _, name := range []string{"CLONE", "DATASTORE", "IMAGE", "TARGET", "TYPE"} {
			dst = AppendCDATA(dst, name, "alpine-3.20")
		}
		dst = AppendCDATA(dst, "SOURCE", "/var/lib/one/datastores/1/0123456789abcdef0123456789abcdef")
		dst = AppendClose(dst, "DISK")
	}
	dst = AppendClose(dst, "TEMPLATE")
	dst = AppendOpen(dst, "USER_TEMPLATE")
	dst = AppendCDATA(dst, "DESCRIPTION", "serves & stores <pages>")
	dst = AppendClose(dst, "USER_TEMPLATE")
	return AppendClose(dst, "VM")
}

func poolDocument() []byte {
	dst := AppendOpen(nil, "VM_POOL")
	for id := range 10000 {
		dst = vmDocument(dst, id)
	}
	return AppendClose(dst, "VM_POOL")
}

func BenchmarkParseCallInfo(b *testing.B) {
	call := AppendCall(nil, "one.vm.info", String("oneadmin:opennebula"), Int(42), Bool(false))
	b.SetBytes(int64(len(call)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := ParseCall(call, Limits{})
		if err != nil || len(c.Params) != 3 {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseCallTemplate(b *testing.B) {
	template := strings.Repeat("DISK = [ IMAGE = \"a & b\", SIZE = \"<10>\" ]\n", 250) // about 10 kB
	call := AppendCall(nil, "one.template.allocate", String("oneadmin:opennebula"), String(template))
	b.SetBytes(int64(len(call)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCall(call, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDocument(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = vmDocument(dst[:0], 42)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkAppendSuccessInfo(b *testing.B) {
	doc := vmDocument(nil, 42)
	var dst []byte
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		dst = successText(dst[:0], doc)
	}
}

func BenchmarkAppendSuccessPool(b *testing.B) {
	doc := poolDocument()
	var dst []byte
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		dst = successText(dst[:0], doc)
	}
}

func BenchmarkEscape(b *testing.B) {
	doc := poolDocument()
	for name, in := range map[string][]byte{
		"document": doc,
		"plain":    bytes.Repeat([]byte("plain text without anything "), 400000),
		"umlauts":  bytes.Repeat([]byte("grüße für <alle>\n"), 600000),
	} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				dst = AppendEscaped(dst[:0], in)
			}
		})
	}
}

// The replacer of the standard library, to compare with.
func BenchmarkEscapeReplacer(b *testing.B) {
	doc := string(poolDocument())
	r := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if _, err := r.WriteString(io.Discard, doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAnswerPool(b *testing.B) {
	answer := successText(nil, poolDocument())
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseAnswer(answer, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
