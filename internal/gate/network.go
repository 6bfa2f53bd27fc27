package gate

import (
	"fmt"
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// appendNetwork appends the document of a network: of the core's document what
// guests see. Ranges and leases are shown whole; leases only as far as the owner
// may see whose they are. Source: OneGate reference §1.10.
func (u *Guest) appendNetwork(dst []byte, n *one.VNet, extended bool) ([]byte, error) {
	docs := &onexml.Docs{State: u.st}
	xml := docs.AppendVNet(nil, n, u.gate.cloud.VisibleLeases(u.st, u.owner, n))
	net, err := doc.Parse(string(xml))
	if err != nil {
		return nil, fmt.Errorf("show network %d: %w", n.ID, err)
	}
	dst = num(append(dst, `{"VNET":{"ID":`...), n.ID)
	dst = member(dst, "NAME", n.Name)
	dst = member(dst, "USED_LEASES", net.Get("USED_LEASES"))
	dst = append(dst, `,"VROUTERS":{"ID":[`...)
	for _, id := range net.Texts("VROUTERS/ID") {
		dst = str(comma(dst), id)
	}
	dst = append(dst, `]},"PARENT_NETWORK_ID":`...)
	if parent := net.Get("PARENT_NETWORK_ID"); parent != "" {
		dst = str(dst, parent)
	} else {
		dst = append(dst, `{}`...)
	}
	dst = append(dst, `,"AR_POOL":{"AR":[`...)
	for _, ar := range net.All("AR_POOL/AR") {
		dst = u.appendRange(append(comma(dst), '{'), ar, extended)
		dst = append(dst, '}')
	}
	dst = append(dst, `]},"TEMPLATE":{`...)
	for _, name := range u.gate.cfg.VNetAttributes {
		if as := n.Template.Named(name); len(as) > 0 {
			dst = append(str(comma(dst), name), ':')
			dst = appendValues(dst, as, false)
		}
	}
	return append(dst, `}}}`...), nil
}

// appendValues appends the value of an attribute, an array when there are several
// or when it always is one.
func appendValues(dst []byte, as []tmpl.Attr, listed bool) []byte {
	if len(as) == 1 && !listed {
		return as[0].AppendJSON(dst)
	}
	dst = append(dst, '[')
	for _, a := range as {
		dst = a.AppendJSON(comma(dst))
	}
	return append(dst, ']')
}

func (u *Guest) appendRange(dst []byte, ar *doc.Node, extended bool) []byte {
	for _, k := range ar.Kids {
		if k.Name != "LEASES" {
			dst = member(dst, k.Name, k.Text)
			continue
		}
		dst = append(str(comma(dst), k.Name), `:{"LEASE":[`...)
		for _, lease := range k.Kids {
			dst = append(comma(dst), '{')
			for _, part := range lease.Kids {
				dst = member(dst, part.Name, part.Text)
			}
			if extended {
				dst = u.extendLease(dst, lease)
			}
			dst = append(dst, '}')
		}
		dst = append(dst, `]}`...)
	}
	return dst
}

// extendLease adds to the lease of a VM what its NIC is called and, of a machine
// behind a load balancer, what its guest publishes. In the original one lease of
// which that cannot be found out spoils the whole answer; here it is shown as it is.
func (u *Guest) extendLease(dst []byte, lease *doc.Node) []byte {
	if !lease.Has("VM") || strings.HasPrefix(lease.Get("VM"), "-") {
		return dst
	}
	v, ok := u.st.VM(int(lease.Int("VM")))
	if !ok || u.may("one.vm.info", v) != nil {
		return dst
	}
	nics := v.Template.Vectors("NIC")
	nic, isAlias := byMAC(nics, lease.Get("MAC")), false
	if nic == nil {
		nic, isAlias = byMAC(v.Template.Vectors("NIC_ALIAS"), lease.Get("MAC")), true
	}
	if nic == nil {
		return dst
	}
	if isAlias {
		dst = member(dst, "PARENT", nic.Get("PARENT"))
		for _, p := range nics {
			if p.Get("NAME") == nic.Get("PARENT") {
				dst = member(dst, "PARENT_NETWORK_ID", p.Get("NETWORK_ID"))
				break
			}
		}
		dst = fmt.Appendf(dst, `,"EXTERNAL":%t`, nic.Bool("EXTERNAL"))
	}
	dst = member(dst, "NIC_NAME", nic.Get("NAME"))
	if !v.Template.Vector("CONTEXT").Bool("BACKEND") {
		return dst
	}
	dst = member(dst, "BACKEND", "YES")
	all := v.UserTemplate.All()
	for i := 0; i < len(all); {
		same := v.UserTemplate.Named(all[i].Name)
		if strings.HasPrefix(all[i].Name, "ONEGATE_") {
			dst = append(str(comma(dst), all[i].Name), ':')
			dst = appendValues(dst, same, false)
		}
		i += len(same)
	}
	return dst
}

// byMAC returns the NIC with an address, nil if there is none.
func byMAC(nics []tmpl.Vector, mac string) tmpl.Vector {
	for _, n := range nics {
		if strings.EqualFold(n.Get("MAC"), mac) && mac != "" {
			return n
		}
	}
	return nil
}
