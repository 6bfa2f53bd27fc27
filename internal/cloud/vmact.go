package cloud

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/machine"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// lateAction is an action that may be scheduled, or asked for of a whole service,
// beside those of one.vm.action. Source: VM lifecycle reference §6.
type lateAction struct {
	right string // keyword of VM_*_OPERATIONS
	args  string // what ARGS holds, for messages
	ids   int    // how many ids that is, the rest being a name
	named bool
	run   func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, name string) error
}

// lateActions are those actions, by their names.
var lateActions = map[string]lateAction{
	"snapshot-create": {right: "snapshot", args: "name", named: true, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, _ []int, name string) error {
		_, err := c.createSnapshot(tx, who, v, name)
		return err
	}},
	"snapshot-revert": {right: "snapshot", args: "snapshot", ids: 1, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, _ string) error {
		return c.revertSnapshot(tx, who, v, ids[0])
	}},
	"snapshot-delete": {right: "snapshot", args: "snapshot", ids: 1, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, _ string) error {
		return c.deleteSnapshot(tx, who, v, ids[0])
	}},
	"disk-snapshot-create": {right: "disk-snapshot", args: "disk,name", ids: 1, named: true, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, name string) error {
		_, err := c.createDiskSnapshot(tx, who, v, ids[0], name)
		return err
	}},
	"disk-snapshot-revert": {right: "disk-snapshot", args: "disk,snapshot", ids: 2, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, _ string) error {
		return c.revertDiskSnapshot(tx, who, v, ids[0], ids[1])
	}},
	"disk-snapshot-delete": {right: "disk-snapshot", args: "disk,snapshot", ids: 2, run: func(c *Cloud, tx *store.Tx, who auth.Caller, v *one.VM, ids []int, _ string) error {
		return c.deleteDiskSnapshot(tx, who, v, ids[0], ids[1])
	}},
}

// actOn does an action by its name inside a transaction, with the caller's right to
// do it; args are what its ARGS say.
func (c *Cloud) actOn(tx *store.Tx, who auth.Caller, vm int, action, args string) error {
	late, isLate := lateActions[action]
	op, known := machine.Operation(action)
	switch {
	case isLate:
		op = late.right
	case !known:
		return errs.New(errs.Action, "Action %q is not supported", action).About(vm)
	}
	v, err := c.vmFor(&tx.State, who, vm, op)
	if err != nil {
		return err
	}
	if !isLate {
		return c.vmAction(tx, who, v, action)
	}
	ids, name, ok := late.read(args)
	if !ok {
		return errs.New(errs.Action, "ARGS %q: expected %s", args, late.args).About(vm)
	}
	return late.run(c, tx, who, v, ids, name)
}

// read reads ARGS: words with commas between them, of which a name is the last.
func (l lateAction) read(args string) (ids []int, name string, ok bool) {
	rest, more := args, args != ""
	for range l.ids {
		var word string
		word, rest, more = strings.Cut(rest, ",")
		id, ok := atoi(strings.TrimSpace(word))
		if !ok || id < 0 {
			return nil, "", false
		}
		ids = append(ids, id)
	}
	return ids, strings.TrimSpace(rest), l.named || !more
}
