package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"sync/atomic"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Document is what a guest gets to see: JSON, and a revision that is another one
// exactly when the JSON is. It is immutable.
type Document struct {
	JSON []byte
	// Revision is made of the JSON alone, so that every member of a cluster gives
	// the same, before and after a restart. It is safe in headers and URLs.
	Revision string
	// Header holds JSON's length and the quoted revision as header values, which
	// are not to be changed: a document is shown many times.
	Length, ETag []string
}

func newDocument(json []byte) *Document {
	sum := sha256.Sum256(json)
	revision := base64.RawURLEncoding.EncodeToString(sum[:12])
	return &Document{JSON: json, Revision: revision, Length: []string{strconv.Itoa(len(json))}, ETag: []string{`"` + revision + `"`}}
}

// str appends s as a JSON string.
func str(dst []byte, s string) []byte { return tmpl.Single("", s).AppendJSON(dst) }

// num appends n as a JSON string, as the original shows numbers of the core.
func num[T ~int | ~int64](dst []byte, n T) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '"')
}

// What guests see of the vectors NIC and NIC_ALIAS. Source: OneGate reference §1.7.
func shownOfNIC(name string) bool {
	switch name {
	case "IP", "IP6_LINK", "IP6_SITE", "IP6_GLOBAL", "NETWORK", "MAC", "NAME", "PARENT", "EXTERNAL", "EXTERNAL_IP":
		return true
	}
	return false
}

// hypervisorIPs are the attributes of monitoring that hold addresses; each one is
// shown as a NIC. Source: OneGate reference §1.7.
var hypervisorIPs = [...]string{
	"GUEST_IP", "AWS_IP_ADDRESS", "AWS_PUBLIC_IP_ADDRESS", "AWS_PRIVATE_IP_ADDRESS", "AZ_IPADDRESS", "SL_PRIMARYIPADDRESS",
}

// appendVM appends the document of a VM; measured are its monitoring attributes.
// Source: OneGate reference §1.7.
func appendVM(dst []byte, v *one.VM, measured *tmpl.Template) []byte {
	dst = str(append(dst, `{"VM":{"NAME":`...), v.Name)
	dst = num(append(dst, `,"ID":`...), v.ID)
	dst = num(append(dst, `,"STATE":`...), v.State)
	dst = num(append(dst, `,"LCM_STATE":`...), v.LCM)
	dst = v.UserTemplate.Without("SCHED_MESSAGE").AppendJSON(append(dst, `,"USER_TEMPLATE":`...))
	dst = appendNICs(append(dst, `,"TEMPLATE":{"NIC":[`...), v.Template.Named("NIC"))
	for _, name := range hypervisorIPs {
		if ip, ok := measured.Lookup(name); ok {
			dst = str(append(comma(dst), `{"IP":`...), ip)
			dst = append(dst, '}')
		}
	}
	dst = appendNICs(append(dst, `],"NIC_ALIAS":[`...), v.Template.Named("NIC_ALIAS"))
	return append(dst, `]}}}`...)
}

func appendNICs(dst []byte, nics []tmpl.Attr) []byte {
	for _, a := range nics {
		if !a.IsVector() {
			continue
		}
		dst = append(comma(dst), '{')
		for _, p := range a.Vector {
			if shownOfNIC(p.Name) {
				dst = member(dst, p.Name, p.Value)
			}
		}
		dst = append(dst, '}')
	}
	return dst
}

// comma appends a comma unless what is there has just been opened.
func comma(dst []byte) []byte {
	if c := dst[len(dst)-1]; c == '[' || c == '{' {
		return dst
	}
	return append(dst, ',')
}

// member appends a member of a JSON object whose value is a string.
func member(dst []byte, name, value string) []byte {
	return str(append(str(comma(dst), name), ':'), value)
}

// VMDocument returns the document of a VM, which the guest must be allowed to see.
func (u *Guest) vmDocument(v *one.VM) *Document {
	var measured *tmpl.Template
	if u.gate.monitor != nil {
		if s, ok := u.gate.monitor.VM(v.ID); ok {
			measured = s.Data
		}
	}
	for _, name := range hypervisorIPs {
		if measured.Has(name) {
			return newDocument(appendVM(nil, v, measured))
		}
	}
	return u.gate.docs.get(v)
}

// docCache keeps rendered documents of VMs in a table of fixed size in which each
// VM has one place. VMs are immutable: the same value has the same document.
type docCache struct {
	slots [1 << 14]atomic.Pointer[knownDoc]
}

// maxKnownDoc bounds a document that is kept, in bytes; all of them together
// take at most 64 MB, and in a cloud of 10,000 ordinary VMs 10.
const maxKnownDoc = 4 << 10

type knownDoc struct {
	vm  *one.VM
	doc *Document
}

func (c *docCache) get(v *one.VM) *Document {
	slot := &c.slots[v.ID&(len(c.slots)-1)]
	if k := slot.Load(); k != nil && k.vm == v {
		return k.doc
	}
	doc := newDocument(bytes.Clone(appendVM(make([]byte, 0, 1<<10), v, nil)))
	if len(doc.JSON) <= maxKnownDoc {
		slot.Store(&knownDoc{v, doc})
	}
	return doc
}
