package one

// Migration is how a VM moves from the host of its last record but one to that of
// its last, as long as it is on the way. The zero value is none.
type Migration struct {
	// Action is ActionMigrate, ActionPoweroffMigrate or ActionPoweroffHardMig, which say
	// how the guest is stopped, or ActionLiveMigrate.
	Action Action
	// Left tells that nothing is to be done any more at the host it comes from.
	Left bool
}

// Leaving returns the host that a VM comes from and where the work of its present
// step is to be done, -1 when that is the host of its newest record.
func (v *VM) Leaving() int {
	if v.Migration.Action == ActionNone || v.Migration.Left || len(v.History) < 2 || v.State != VMActive {
		return -1
	}
	return v.History[len(v.History)-2].HID
}

// WorkRecord returns the record of the host where the VM's present step is to be
// done, nil before the first deploy.
func (v *VM) WorkRecord() *History {
	if v.Leaving() >= 0 {
		return v.History[len(v.History)-2]
	}
	return v.LastRecord()
}

// Abroad returns the host that is charged with the VM besides that of its newest
// record, -1 for none: its domain is there still.
func (v *VM) Abroad() int {
	if v.Active(LCMSaveMigrate) || v.Active(LCMMigrate) {
		return v.Leaving()
	}
	return -1
}

// WithRecord returns a copy in which f has changed the record of a sequence number;
// f gets a copy of that record.
func (v *VM) WithRecord(seq int, f func(*History)) *VM {
	c := *v
	c.History = make([]*History, len(v.History))
	copy(c.History, v.History)
	r := *v.History[seq]
	f(&r)
	c.History[seq] = &r
	return &c
}
