package onexml

import (
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// What the short form keeps of vectors and of the user template, in the order
// it is printed. Source: XML-RPC reference §8.2.
var (
	shortDisk = []string{
		"CLONE", "CLONE_TARGET", "DATASTORE", "DATASTORE_ID", "DISK_ID", "DISK_SNAPSHOT_TOTAL_SIZE", "IMAGE",
		"IMAGE_ID", "LN_TARGET", "SIZE", "TYPE",
	}
	shortNIC = []string{
		"EXTERNAL_IP", "IP", "IP6", "IP6_GLOBAL", "IP6_LINK", "IP6_ULA", "MAC", "NETWORK", "NETWORK_ID",
		"NETWORK_MODE", "NIC_ID", "SCHED_RANK", "SCHED_REQUIREMENTS", "SECURITY_GROUPS",
	}
	shortUser = []string{
		"LABELS", "ERROR", "SCHED_MESSAGE", "SCHED_RANK", "SCHED_DS_RANK", "SCHED_REQUIREMENTS",
		"SCHED_DS_REQUIREMENTS", "USER_PRIORITY", "PUBLIC_CLOUD", "SCHED_ACTION",
	}
)

// AppendVMShort appends a VM as vmpool.info lists it. Source: XML-RPC reference §8.2.
func (d *Docs) AppendVMShort(dst []byte, v *one.VM) []byte {
	sample, measured := d.vmSample(v.ID)
	dst = open(dst, "VM")
	dst = head(dst, &v.Meta)
	dst = num(dst, "LAST_POLL", sample.Time)
	dst = num(dst, "STATE", v.State)
	dst = num(dst, "LCM_STATE", v.LCM)
	dst = flag(dst, "RESCHED", v.Resched)
	dst = num(dst, "STIME", v.STime)
	dst = num(dst, "ETIME", v.ETime)
	dst = bare(dst, "DEPLOY_ID", v.DeployID)
	if v.Lock.Level != one.Unlocked {
		dst = shut(num(open(dst, "LOCK"), "LOCKED", v.Lock.Level), "LOCK")
	}
	dst = shortTemplate(dst, v.Template)
	if measured {
		dst = open(dst, "MONITORING")
		for _, name := range [...]string{"CPU", "MEMORY", "STATE"} {
			dst = cdata(dst, name, sample.Data.Get(name))
		}
		dst = shut(dst, "MONITORING")
	} else {
		dst = append(dst, "<MONITORING/>"...)
	}
	dst = shortUserTemplate(dst, v.UserTemplate)
	dst = shortHistory(dst, v.LastRecord())
	return shut(dst, "VM")
}

// shortTemplate appends what the short form keeps of TEMPLATE, in its own order;
// the three numbers are bare there.
func shortTemplate(dst []byte, t *tmpl.Template) []byte {
	dst = open(dst, "TEMPLATE")
	for _, name := range [...]string{"CPU", "MEMORY", "VCPU"} {
		if s, ok := t.Lookup(name); ok {
			dst = bare(dst, name, s)
		}
	}
	dst = shortVectors(dst, t, "DISK", shortDisk)
	dst = shortVectors(dst, t, "NIC", shortNIC)
	dst = shortVectors(dst, t, "NIC_ALIAS", shortNIC)
	for _, a := range t.Named("GRAPHICS") {
		dst = a.AppendXML(dst)
	}
	return shut(dst, "TEMPLATE")
}

// shortVectors appends the vectors of a name with just the pairs called keep;
// both are ascending.
func shortVectors(dst []byte, t *tmpl.Template, name string, keep []string) []byte {
	for _, a := range t.Named(name) {
		if !a.IsVector() {
			continue
		}
		dst = open(dst, name)
		k := 0
		for _, p := range a.Vector {
			for k < len(keep) && keep[k] < p.Name {
				k++
			}
			if k < len(keep) && keep[k] == p.Name {
				dst = cdata(dst, p.Name, p.Value)
			}
		}
		dst = shut(dst, name)
	}
	return dst
}

func shortUserTemplate(dst []byte, t *tmpl.Template) []byte {
	empty := len(dst)
	dst = open(dst, "USER_TEMPLATE")
	start := len(dst)
	for _, name := range shortUser {
		for _, a := range t.Named(name) {
			dst = a.AppendXML(dst)
		}
	}
	if len(dst) == start {
		return append(dst[:empty], "<USER_TEMPLATE/>"...)
	}
	return shut(dst, "USER_TEMPLATE")
}

func shortHistory(dst []byte, h *one.History) []byte {
	if h == nil {
		return append(dst, "<HISTORY_RECORDS/>"...)
	}
	dst = append(dst, "<HISTORY_RECORDS><HISTORY>"...)
	dst = num(dst, "OID", h.OID)
	dst = num(dst, "SEQ", h.Seq)
	dst = cdata(dst, "HOSTNAME", h.Hostname)
	dst = num(dst, "HID", h.HID)
	dst = num(dst, "CID", h.CID)
	dst = num(dst, "DS_ID", h.DSID)
	dst = cdata(dst, "VM_MAD", h.VMMad)
	dst = cdata(dst, "TM_MAD", h.TMMad)
	dst = num(dst, "ACTION", h.Action)
	return append(dst, "</HISTORY></HISTORY_RECORDS>"...)
}
