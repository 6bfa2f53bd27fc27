package hypervisor

import (
	"strconv"
	"strings"
)

// VMID returns the id of the VM a domain is by its name, "one-<id>", or -1 for
// a domain that is not ours. Source: resources reference §9.1.
func VMID(domain string) int {
	digits, ours := strings.CutPrefix(domain, "one-")
	id, err := strconv.Atoi(digits)
	if !ours || err != nil || id < 0 || strconv.Itoa(id) != digits {
		return -1
	}
	return id
}
