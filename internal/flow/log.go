package flow

import (
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// What the log of a service keeps: so many of the original's messages, and
// altogether so many of the newest entries. Source: OneFlow reference §1.6.
const (
	maxLog    = 50
	maxEvents = 100
)

// addLog adds entries to a service's log and drops the oldest beyond the bounds;
// s is the version to be stored.
func addLog(tx *store.Tx, s *one.Service, now int64, lines ...reconcile.Line) {
	surplus := len(lines) - maxEvents // which would be dropped at once
	for i := range lines {
		l := lines[i] // a copy: an entry must not keep the whole plan alive
		if surplus > 0 && l.Message == "" {
			surplus--
			continue
		}
		tx.PutServiceLog(&one.ServiceLog{Service: s.ID, Seq: s.LogSeq, Time: now, Severity: l.Severity, Message: l.Message, Event: &l.Event})
		s.LogSeq++
	}
	if len(lines) > 0 {
		trimLog(tx, s.ID)
	}
}

func trimLog(tx *store.Tx, service int) {
	var all []*one.ServiceLog
	messages := 0
	for e := range tx.ServiceLog(service) {
		all = append(all, e)
		if e.Message != "" {
			messages++
		}
	}
	for _, e := range all[:max(0, len(all)-maxEvents)] {
		switch {
		case e.Message == "":
		case messages > maxLog:
			messages--
		default:
			continue
		}
		tx.DeleteServiceLog(service, e.Seq)
	}
}

// messages returns the entries that the original's log has too, oldest first.
func messages(st *store.State, service int) []*one.ServiceLog {
	var out []*one.ServiceLog
	for e := range st.ServiceLog(service) {
		if e.Message != "" {
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-maxLog):]
}
