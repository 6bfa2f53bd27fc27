package gate

// Show returns the document of a VM that the guest may address.
// Source: OneGate reference §1.7.
func (u *Guest) Show(id int) (*Document, error) {
	v, err := u.addressed(id)
	if err != nil {
		return nil, err
	}
	return u.vmDocument(v), nil
}

// WatchVM begins to watch the document of a VM. Nothing is checked: the document
// that is shown after it is.
func (u *Guest) WatchVM(id int) (*Watch, error) {
	return u.gate.hub.watch(u.vm.ID, subject{subjectVM, id})
}
