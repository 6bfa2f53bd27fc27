package onexml

import (
	"iter"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AppendVM appends the full document of a VM. Source: XML-RPC reference §8.1 (its example).
func (d *Docs) AppendVM(dst []byte, v *one.VM) []byte { return d.vm(dst, v, v.History, true) }

// AppendVMExtended appends a VM as infoextended lists it: in full, but of the
// history only the newest record, and of scheduled actions only the ids.
// Source: XML-RPC reference §4.6.
func (d *Docs) AppendVMExtended(dst []byte, v *one.VM) []byte {
	return d.vm(dst, v, v.History[max(0, len(v.History)-1):], false)
}

// vm appends a VM with some of its history, and with its scheduled actions or just
// their ids.
func (d *Docs) vm(dst []byte, v *one.VM, records []*one.History, actions bool) []byte {
	sample, measured := d.vmSample(v.ID)
	dst = open(dst, "VM")
	dst = head(dst, &v.Meta)
	dst = permissions(dst, v.Perms)
	dst = num(dst, "LAST_POLL", sample.Time)
	dst = num(dst, "STATE", v.State)
	dst = num(dst, "LCM_STATE", v.LCM)
	// The original puts the state there that its hooks were last told of, which is
	// the present one as soon as they were. Source: XML-RPC reference §8.1 (its example).
	dst = num(dst, "PREV_STATE", v.State)
	dst = num(dst, "PREV_LCM_STATE", v.LCM)
	dst = flag(dst, "RESCHED", v.Resched)
	dst = num(dst, "STIME", v.STime)
	dst = num(dst, "ETIME", v.ETime)
	dst = bare(dst, "DEPLOY_ID", v.DeployID)
	dst = lock(dst, v.Lock)
	if measured {
		dst = appendVMSample(dst, sample)
	} else {
		dst = AppendEmpty(dst, "MONITORING")
	}
	scheduled := d.scheduled(v.ID)
	dst = open(dst, "SCHED_ACTIONS")
	for i := range scheduled {
		dst = num(dst, "ID", scheduled[i].ID)
	}
	dst = shut(dst, "SCHED_ACTIONS")
	dst = v.Template.AppendXML(open(dst, "TEMPLATE"))
	if actions {
		for i := range scheduled {
			dst = schedAction(dst, v.ID, &scheduled[i])
		}
	}
	dst = shut(dst, "TEMPLATE")
	dst = body(dst, "USER_TEMPLATE", v.UserTemplate)
	if len(records) == 0 {
		dst = append(dst, "<HISTORY_RECORDS/>"...)
	} else {
		dst = open(dst, "HISTORY_RECORDS")
		for _, h := range records {
			dst = shut(history(dst, h), "HISTORY")
		}
		dst = shut(dst, "HISTORY_RECORDS")
	}
	dst = diskSnapshots(dst, v.Snapshots)
	dst = append(dst, "<BACKUPS><BACKUP_CONFIG/><BACKUP_IDS></BACKUP_IDS></BACKUPS>"...)
	return shut(dst, "VM")
}

// scheduled returns the scheduled actions of a VM.
func (d *Docs) scheduled(vm int) []one.SchedAction {
	if s, ok := d.State.Schedules.Get(vm); ok {
		return s.Actions
	}
	return nil
}

// schedAction appends a scheduled action of a VM: plain text throughout.
// Source: XML-RPC reference §8.1 (its example).2.
func schedAction(dst []byte, vm int, a *one.SchedAction) []byte {
	dst = open(dst, "SCHED_ACTION")
	dst = num(dst, "ID", a.ID)
	dst = num(dst, "PARENT_ID", vm)
	dst = bare(dst, "TYPE", one.KindVM.String())
	dst = bare(dst, "ACTION", a.Action)
	dst = bare(dst, "ARGS", a.Args)
	dst = num(dst, "TIME", a.Time)
	dst = num(dst, "REPEAT", a.Repeat)
	dst = bare(dst, "DAYS", a.Days)
	dst = num(dst, "END_TYPE", a.EndType)
	dst = num(dst, "END_VALUE", a.EndValue)
	dst = num(dst, "DONE", a.Done)
	dst = bare(dst, "MESSAGE", a.Message)
	return shut(dst, "SCHED_ACTION")
}

// history appends a record but for its end tag: accounting has more to say
// inside it. Source: VM lifecycle reference §4.
func history(dst []byte, h *one.History) []byte {
	dst = open(dst, "HISTORY")
	dst = num(dst, "OID", h.OID)
	dst = num(dst, "SEQ", h.Seq)
	dst = bare(dst, "HOSTNAME", h.Hostname)
	dst = num(dst, "HID", h.HID)
	dst = num(dst, "CID", h.CID)
	dst = num(dst, "STIME", h.STime)
	dst = num(dst, "ETIME", h.ETime)
	dst = cdata(dst, "VM_MAD", h.VMMad)
	dst = cdata(dst, "TM_MAD", h.TMMad)
	dst = num(dst, "DS_ID", h.DSID)
	dst = num(dst, "PSTIME", h.PSTime)
	dst = num(dst, "PETIME", h.PETime)
	dst = num(dst, "RSTIME", h.RSTime)
	dst = num(dst, "RETIME", h.RETime)
	dst = num(dst, "ESTIME", h.ESTime)
	dst = num(dst, "EETIME", h.EETime)
	dst = num(dst, "ACTION", h.Action)
	dst = num(dst, "UID", h.UID)
	dst = num(dst, "GID", h.GID)
	return num(dst, "REQUEST_ID", h.RequestID)
}

// diskSnapshots appends a SNAPSHOTS element for each disk that has any. They are
// stored flat, because templates do not nest: a SNAPSHOTS vector per disk, and
// each of its snapshots as a SNAPSHOT vector that names the disk in DISK_ID.
func diskSnapshots(dst []byte, t *tmpl.Template) []byte {
	if t.Len() == 0 {
		return dst
	}
	single := t.Vectors("SNAPSHOT")
	for _, of := range t.Vectors("SNAPSHOTS") {
		dst = open(dst, "SNAPSHOTS")
		for _, p := range of {
			dst = cdata(dst, p.Name, p.Value)
		}
		for _, s := range single {
			if s.Get("DISK_ID") == of.Get("DISK_ID") {
				dst = s.Without("DISK_ID").AppendXML(dst, "SNAPSHOT")
			}
		}
		dst = shut(dst, "SNAPSHOTS")
	}
	return dst
}

// AppendAccounting appends the answer of vmpool.accounting: history records,
// each with its VM inside. Source: XML-RPC reference §7.3.
func (d *Docs) AppendAccounting(dst []byte, records iter.Seq2[*one.VM, *one.History]) []byte {
	dst = open(dst, "HISTORY_RECORDS")
	for v, h := range records {
		dst = history(dst, h)
		dst = d.vm(dst, v, nil, false)
		dst = shut(dst, "HISTORY")
	}
	return shut(dst, "HISTORY_RECORDS")
}
