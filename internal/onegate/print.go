package onegate

import (
	"bytes"
	"fmt"
	"strconv"
)

// printer draws documents as the reference's client does.
// Source: OneGate reference §4.3.
type printer struct {
	out      bytes.Buffer
	terminal bool
}

// header prints a heading: on a terminal bold, 80 wide and perhaps underlined.
func (p *printer) header(text string, underline bool) {
	if !p.terminal {
		p.out.WriteString(text + "\n")
		return
	}
	p.out.WriteString("\x1b[1m")
	if underline {
		p.out.WriteString("\x1b[4m")
	}
	fmt.Fprintf(&p.out, "%-80s\x1b[0m\n", text)
}

func (p *printer) line(key, value string) { fmt.Fprintf(&p.out, "%-20s: %-20s\n", key, value) }

// vm prints a {"VM":…} document.
func (p *printer) vm(doc *value, extended bool) {
	vm := doc.get("VM")
	p.header("VM "+vm.get("ID").String(), true)
	p.line("NAME", vm.get("NAME").String())
	if !extended {
		return
	}
	p.line("STATE", vmState(vm.get("STATE").String(), vm.get("LCM_STATE").String()))
	for _, nic := range vm.get("TEMPLATE").get("NIC").list() {
		p.line("IP", nic.get("IP").String())
	}
}

// service prints a {"SERVICE":…} document.
func (p *printer) service(doc *value, extended bool) {
	s := doc.get("SERVICE")
	p.header("SERVICE "+s.get("id").String(), true)
	p.line("NAME", s.get("name").String())
	p.line("STATE", name(serviceStates[:], s.get("state").String()))
	p.out.WriteByte('\n')
	for _, role := range s.get("roles").list() {
		p.header("ROLE "+role.get("name").String(), false)
		for _, node := range role.get("nodes").list() {
			info := node.get("vm_info")
			if info.get("VM").kind != object {
				// The flow could not read the VM. The reference's client dies here; we
				// show what is known.
				p.header("VM "+node.get("deploy_id").String(), true)
				continue
			}
			p.vm(info, extended)
		}
		p.out.WriteByte('\n')
	}
}

// vrouter prints a {"VROUTER":…} document.
func (p *printer) vrouter(doc *value) {
	r := doc.get("VROUTER")
	p.header("VROUTER "+r.get("ID").String(), true)
	p.line("NAME", r.get("NAME").String())
	ids := ""
	for _, id := range r.get("VMS").get("ID").list() {
		if ids != "" {
			ids += ","
		}
		ids += id.String()
	}
	p.line("VMS", ids)
	p.out.WriteByte('\n')
}

// vnet prints a {"VNET":…} document.
func (p *printer) vnet(doc *value) {
	p.header("VNET", true)
	p.line("ID", doc.get("VNET").get("ID").String())
	p.out.WriteByte('\n')
}

// vmState is the name of the life cycle state of an active VM, else of its
// state; "" for numbers it does not know.
func vmState(state, lcm string) string {
	s := name(vmStates[:], state)
	if s == "ACTIVE" {
		return name(lcmStates[:], lcm)
	}
	return s
}

func name(names []string, number string) string {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(names) {
		return ""
	}
	return names[n]
}
