package store

// Try runs f and takes back all that it did when it fails, so that the
// transaction may go on without it: one of several things that are to be done at
// once is refused, and leaves no trace. It returns the error of f.
func (tx *Tx) Try(f func() error) error {
	state, changes, rewrite := tx.State, len(tx.changes), len(tx.rewrite)
	if tx.owner != nil {
		tx.owner = new(owner) // so that f copies the tables it changes
	}
	err := f()
	if err != nil {
		tx.State, tx.changes, tx.rewrite = state, tx.changes[:changes], tx.rewrite[:rewrite]
	}
	return err
}
