package contextvars

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Update returns the CONTEXT that one.vm.updateconf makes of a VM's old one and
// the one a user sent; the caller then runs Generate on it. A nil old says that
// the VM has no CONTEXT, a nil sent that the user sent none.
//
// With merge (append=1) variables that were not sent stay, else they go. Only
// variables that differ from the old ones go through parse, which expands
// references and resolves FILES_DS: the others have been through it. DISK_ID and
// TARGET cannot be changed. ETHx variables come from the NICs: unless allowETH
// (CONTEXT_ALLOW_ETH_UPDATES) the user may repeat them but not add or change
// them. Sources: XML-RPC reference §7.2.1, OneGate reference §5.3.
func Update(old, sent tmpl.Vector, merge, allowETH bool, parse func(tmpl.Vector) (tmpl.Vector, error)) (tmpl.Vector, error) {
	if sent == nil {
		return old, nil
	}
	if old == nil {
		return nil, errs.New(errs.Internal, "Virtual machine does not have context, cannot add a new one.")
	}
	kept := variables{}
	changed := make(tmpl.Vector, 0, len(sent))
	for _, p := range sent {
		was, had := old.Lookup(p.Name)
		switch {
		case had && was == p.Value:
			kept[p.Name] = p.Value
		case p.Name == "DISK_ID" || p.Name == "TARGET":
		case isETH(p.Name) && !allowETH:
			verb := "add"
			if had {
				verb = "update"
			}
			return nil, errs.New(errs.Internal, "Unable to %s %s, update NIC to update network context", verb, p.Name)
		default:
			changed = append(changed, p)
		}
	}
	changed, err := parse(changed)
	if err != nil {
		return nil, err
	}
	for _, p := range changed {
		kept[p.Name] = p.Value
	}
	for _, name := range []string{"DISK_ID", "TARGET"} {
		if v, ok := old.Lookup(name); ok {
			kept[name] = v
		}
	}
	if merge {
		return kept.over(old), nil
	}
	return kept.over(nil), nil
}

// isETH tells whether a variable has the form ETH<number>_….
func isETH(name string) bool {
	rest, ok := strings.CutPrefix(name, "ETH")
	number, _, found := strings.Cut(rest, "_")
	return ok && found && isNumber(number)
}
