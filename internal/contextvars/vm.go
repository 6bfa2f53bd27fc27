package contextvars

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// VM is what this package reads of a VM.
type VM struct {
	ID, UID, GID       int
	Name, UName, GName string
	Template           *tmpl.Template // TEMPLATE: NIC, NIC_ALIAS, PCI, DISK, …
	UserTemplate       *tmpl.Template // USER_TEMPLATE
	Outside            Lookup
}

// Lookup finds attributes outside the VM. Each function returns "" for what is
// not there; a nil function finds nothing.
type Lookup struct {
	// Network looks into an address range, -1 for none, then into its network's template.
	Network func(network, addressRange int, name string) string
	// Image looks into an image's template.
	Image func(image int, name string) string
	// User looks into the template of the VM's owner.
	User func(name string) string
	// XML renders a whole object for the guest; kind is VM, NETWORK, IMAGE or
	// USER. What a guest must not learn is left out by whoever provides this.
	XML func(kind string, id int) string
}

func (l Lookup) network(id, ar int, name string) string {
	if l.Network == nil {
		return ""
	}
	return l.Network(id, ar, name)
}

// xml64 is an object's XML in base64, as $TEMPLATE and its like give it.
func (l Lookup) xml64(kind string, id int) string {
	if l.XML == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(l.XML(kind, id)))
}

// value returns what a reference stands for, "" for whatever is unknown.
// Source: OneGate reference §5.4.
func (vm *VM) value(r reference) string {
	if r.attr == "" {
		return vm.single(r.name)
	}
	switch r.name {
	case "NETWORK":
		return vm.networkValue(r)
	case "IMAGE":
		return vm.imageValue(r)
	case "USER":
		if r.attr == "TEMPLATE" {
			return vm.Outside.xml64("USER", vm.UID)
		}
		if vm.Outside.User != nil {
			return vm.Outside.User(r.attr)
		}
		return ""
	}
	for _, v := range vm.Template.Vectors(r.name) {
		if r.key == "" || v.Get(r.key) == r.value {
			return v.Get(r.attr)
		}
	}
	return ""
}

func (vm *VM) single(name string) string {
	switch name {
	case "TEMPLATE":
		return vm.Outside.xml64("VM", vm.ID)
	case "UID":
		return strconv.Itoa(vm.UID)
	case "UNAME":
		return vm.UName
	case "GID":
		return strconv.Itoa(vm.GID)
	case "GNAME":
		return vm.GName
	case "NAME":
		return vm.Name
	}
	if v := vm.Template.Get(name); v != "" {
		return v
	}
	return vm.UserTemplate.Get(name)
}

// networkValue serves networks the VM uses, no others. An alias wins over a NIC
// where both match, as in the reference.
func (vm *VM) networkValue(r reference) string {
	if r.key != "NETWORK" && r.key != "NETWORK_ID" && r.key != "NIC_ID" {
		return ""
	}
	var found tmpl.Vector
	for _, kind := range []string{"NIC", "NIC_ALIAS"} {
		for _, nic := range vm.Template.Vectors(kind) {
			if nic.Get(r.key) == r.value {
				found = nic
				break
			}
		}
	}
	network, ar, ok := lease(found)
	if !ok {
		return ""
	}
	if r.attr == "TEMPLATE" {
		return vm.Outside.xml64("NETWORK", network)
	}
	return vm.Outside.network(network, ar, r.attr)
}

// imageValue serves images the VM has as disks, no others.
func (vm *VM) imageValue(r reference) string {
	if r.key != "IMAGE" && r.key != "IMAGE_ID" {
		return ""
	}
	for _, disk := range vm.Template.Vectors("DISK") {
		if disk.Get(r.key) != r.value {
			continue
		}
		id, err := strconv.Atoi(disk.Get("IMAGE_ID"))
		switch {
		case err != nil:
			return ""
		case r.attr == "TEMPLATE":
			return vm.Outside.xml64("IMAGE", id)
		case vm.Outside.Image != nil:
			return vm.Outside.Image(id, r.attr)
		}
		return ""
	}
	return ""
}

// lease returns the network of a NIC or alias and the address range it has its
// address from, -1 if it has none of its own: then only the network's template can
// say something. ok is false without a network.
func lease(nic tmpl.Vector) (network, ar int, ok bool) {
	network, err := strconv.Atoi(nic.Get("NETWORK_ID"))
	if err != nil {
		return 0, 0, false
	}
	if ar, err = strconv.Atoi(nic.Get("AR_ID")); err != nil {
		ar = -1
	}
	return network, ar, true
}

// upper is the reference's upper case: ASCII only.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}
