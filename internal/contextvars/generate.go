package contextvars

import (
	"sort"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// field is one variable of a NIC's block: where its value is looked for.
type field struct {
	name    string // behind ETHn_, ETHn_ALIASm_ or PCIn_
	attr    string // of the NIC
	alt     string // of the NIC, if attr is empty there
	network bool   // then attr of the address range and of the network
}

// fields is the block of level 6.8. Source: OneGate reference §5.3.
var fields = [...]field{
	{"IP", "IP", "", false},
	{"MAC", "MAC", "", false},
	{"MASK", "NETWORK_MASK", "", true},
	{"NETWORK", "NETWORK_ADDRESS", "", true},
	{"GATEWAY", "GATEWAY", "", true},
	{"DNS", "DNS", "", true},
	{"SEARCH_DOMAIN", "SEARCH_DOMAIN", "", true},
	{"MTU", "GUEST_MTU", "", true},
	{"METRIC", "METRIC", "", true},
	{"METHOD", "METHOD", "", true},
	{"VLAN_ID", "VLAN_ID", "", true},
	{"VROUTER_IP", "VROUTER_IP", "", false},
	{"VROUTER_MANAGEMENT", "VROUTER_MANAGEMENT", "", false},
	{"EXTERNAL", "EXTERNAL", "", false},
	{"IP6", "IP6_GLOBAL", "IP6", false},
	{"IP6_ULA", "IP6_ULA", "", false},
	{"IP6_GATEWAY", "GATEWAY6", "", true},
	{"IP6_METRIC", "IP6_METRIC", "", true},
	{"IP6_METHOD", "IP6_METHOD", "", true},
	{"IP6_PREFIX_LENGTH", "PREFIX_LENGTH", "", true},
	{"VROUTER_IP6", "VROUTER_IP6_GLOBAL", "VROUTER_IP6", false},
}

// of returns the field's value for a NIC, as far as the NIC itself has it.
func (f field) of(nic tmpl.Vector) string {
	if v := nic.Get(f.attr); v != "" || f.alt == "" {
		return v
	}
	return nic.Get(f.alt)
}

// Generate adds the cloud's own variables to a CONTEXT whose references are
// expanded already; where the user wrote variables of the same names they are
// overwritten. It may be run again and again, and is, whenever the context disk
// is made: old blocks are replaced, but those of a NIC that is gone must be
// removed with ClearNIC, ClearAlias or ClearPCI.
//
//   - NETWORK=YES: the ETHx block of every NIC and alias, empty values included,
//     and PCIx variables of passthrough NICs, empty ones left out. A NIC in
//     NETWORK_MODE=AUTO gets its block once it has a network.
//   - a PCI device with a guest address: PCIx_ADDRESS.
//   - TOKEN=YES: ONEGATE_ENDPOINT and VMID; and where the user left an empty
//     ONEGATE_URL, the address that guests of 4.x know. The caller then also records the
//     owner in TEMPLATE/CREATED_BY: the token is made with that user's password.
//   - a virtual router's VM: VROUTER_ID, VROUTER_KEEPALIVED_ID and
//     VROUTER_KEEPALIVED_PASSWORD, as its TEMPLATE has them.
//
// DISK_ID and TARGET belong to the disks, and are not made here. endpoint is the
// gate's address for guests. Source: OneGate reference §5.3.
func Generate(context tmpl.Vector, vm *VM, endpoint string) (tmpl.Vector, error) {
	vars := variables{}
	if context.Bool("NETWORK") {
		for _, nic := range vm.Template.Vectors("NIC") {
			vars.ethernet(nicPrefix(nic.Get("NIC_ID")), nic, vm)
		}
		for _, alias := range vm.Template.Vectors("NIC_ALIAS") {
			vars.ethernet(aliasPrefix(alias.Get("PARENT_ID"), alias.Get("ALIAS_ID")), alias, vm)
		}
	}
	for _, pci := range vm.Template.Vectors("PCI") {
		vars.pci(pci, context.Bool("NETWORK"))
	}
	if context.Bool("TOKEN") {
		if endpoint == "" {
			return nil, errs.New(errs.Internal, "TOKEN set, but onegate endpoint was not defined in oned.conf.")
		}
		vars["ONEGATE_ENDPOINT"] = endpoint
		vars["VMID"] = strconv.Itoa(vm.ID)
		if url, asked := context.Lookup("ONEGATE_URL"); asked && url == "" {
			vars["ONEGATE_URL"] = strings.TrimSuffix(endpoint, "/") + "/vm/" + vars["VMID"]
		}
	}
	for _, name := range []string{"VROUTER_ID", "VROUTER_KEEPALIVED_ID", "VROUTER_KEEPALIVED_PASSWORD"} {
		if v := vm.Template.Get(name); v != "" {
			vars[name] = v
		}
	}
	return vars.over(context), nil
}

// variables are those to be set in a CONTEXT.
type variables map[string]string

// ethernet adds the block of a NIC or alias.
func (vars variables) ethernet(prefix string, nic tmpl.Vector, vm *VM) {
	if prefix == "" || strings.EqualFold(nic.Get("NETWORK_MODE"), "AUTO") && nic.Get("NETWORK_ID") == "" {
		return
	}
	network, ar, leased := lease(nic)
	for _, f := range fields {
		v := f.of(nic)
		if v == "" && f.network && leased {
			v = vm.Outside.network(network, ar, f.attr)
		}
		vars[prefix+f.name] = v
	}
}

// pci adds the variables of a passthrough device.
func (vars variables) pci(pci tmpl.Vector, network bool) {
	prefix := pciPrefix(pci.Get("PCI_ID"))
	if prefix == "" {
		return
	}
	if network && pci.Get("TYPE") == "NIC" {
		for _, f := range fields {
			if v := f.of(pci); v != "" {
				vars[prefix+f.name] = v
			}
		}
	}
	if v := pci.Get("VM_ADDRESS"); v != "" {
		vars[prefix+"ADDRESS"] = v
	}
}

// over returns context with the variables set.
func (vars variables) over(context tmpl.Vector) tmpl.Vector {
	out := make(tmpl.Vector, 0, len(context)+len(vars))
	for _, p := range context {
		if _, set := vars[p.Name]; !set {
			out = append(out, p)
		}
	}
	for name, value := range vars {
		out = append(out, tmpl.Pair{Name: name, Value: value})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// The prefixes of a block; "" if the device has no number yet.

func nicPrefix(nic string) string {
	if !isNumber(nic) {
		return ""
	}
	return "ETH" + nic + "_"
}

func aliasPrefix(nic, alias string) string {
	if !isNumber(nic) || !isNumber(alias) {
		return ""
	}
	return "ETH" + nic + "_ALIAS" + alias + "_"
}

func pciPrefix(pci string) string {
	if !isNumber(pci) {
		return ""
	}
	return "PCI" + pci + "_"
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// ClearNIC returns context without the block of a NIC that was detached and the
// blocks of its aliases.
func ClearNIC(context tmpl.Vector, nic int) tmpl.Vector {
	eth := nicPrefix(strconv.Itoa(nic))
	return without(context, func(name string) bool {
		rest, ok := strings.CutPrefix(name, eth)
		if alias, isAlias := strings.CutPrefix(rest, "ALIAS"); ok && isAlias {
			number, field, found := strings.Cut(alias, "_")
			return found && isNumber(number) && isField(field)
		}
		return ok && isField(rest)
	})
}

// ClearAlias returns context without the block of an alias that was detached.
func ClearAlias(context tmpl.Vector, nic, alias int) tmpl.Vector {
	eth := aliasPrefix(strconv.Itoa(nic), strconv.Itoa(alias))
	return without(context, func(name string) bool {
		rest, ok := strings.CutPrefix(name, eth)
		return ok && isField(rest)
	})
}

// ClearPCI returns context without the variables of a device that was detached.
func ClearPCI(context tmpl.Vector, pci int) tmpl.Vector {
	prefix := pciPrefix(strconv.Itoa(pci))
	return without(context, func(name string) bool {
		rest, ok := strings.CutPrefix(name, prefix)
		return ok && (rest == "ADDRESS" || isField(rest))
	})
}

func isField(name string) bool {
	for _, f := range fields {
		if f.name == name {
			return true
		}
	}
	return false
}

func without(context tmpl.Vector, drop func(name string) bool) tmpl.Vector {
	out := make(tmpl.Vector, 0, len(context))
	for _, p := range context {
		if !drop(p.Name) {
			out = append(out, p)
		}
	}
	return out
}
