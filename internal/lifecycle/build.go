package lifecycle

import (
	"fmt"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/contextdisk"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// machineOf puts together what an agent must know of a VM for an operation, secrets
// in clear.
func (c *Controller) machineOf(st *store.State, v *one.VM, op agentapi.Op) (*agentapi.Machine, error) {
	last := v.WorkRecord()
	if last == nil {
		return nil, fmt.Errorf("VM %d is on no host", v.ID)
	}
	m := &agentapi.Machine{
		ID: v.ID, Domain: "one-" + strconv.Itoa(v.ID), Title: v.Name, DeployID: v.DeployID, UID: v.UID, GID: v.GID,
		UName: v.UName, GName: v.GName, STime: v.STime, SystemDS: last.DSID, VMMad: last.VMMad,
		Template: c.Cloud.Clear(system, one.KindVM, v.Template),
	}
	os := v.Template.Vector("OS")
	m.Kernel, m.Initrd = os.Get("KERNEL"), os.Get("INITRD")
	if s := os.Get("KERNEL_DS_SOURCE"); s != "" {
		m.Kernel = s
	}
	if s := os.Get("INITRD_DS_SOURCE"); s != "" {
		m.Initrd = s
	}
	vars := m.Template.Vector("CONTEXT")
	if vars == nil {
		return m, nil
	}
	ctx, err := contextOf(st, v, vars, op)
	if err != nil {
		return nil, err
	}
	m.Context = ctx
	return m, nil
}

// contextOf returns the context disk: for operations that write it with its
// content, the token included if the VM wants one. The others do not fail for what
// the content lacks: a VM that could not boot can be ended. Source: OneGate
// reference §2 and §5.2.
func contextOf(st *store.State, v *one.VM, vars tmpl.Vector, op agentapi.Op) (*agentapi.Context, error) {
	id, err := strconv.Atoi(vars.Get("DISK_ID"))
	if err != nil {
		return nil, fmt.Errorf("CONTEXT of VM %d has no DISK_ID", v.ID)
	}
	x := &agentapi.Context{DiskID: id, Target: vars.Get("TARGET"), Vars: vars, Time: v.STime}
	switch op {
	case agentapi.OpStart, agentapi.OpRestore, agentapi.OpContext, agentapi.OpAttachNIC, agentapi.OpDetachNIC:
	default:
		return x, nil
	}
	sources, err := contextdisk.Sources(vars)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		x.Files = append(x.Files, agentapi.ContextFile{Name: s.Name, Path: s.Path})
	}
	if !vars.Bool("TOKEN") {
		return x, nil
	}
	x.Token, err = tokenOf(st, v)
	return x, err
}

// tokenOf makes the token of a VM with the password of who created it or, if that
// user is gone, of its owner.
func tokenOf(st *store.State, v *one.VM) (string, error) {
	creator, err := strconv.Atoi(v.Template.Get("CREATED_BY"))
	if err != nil {
		creator = v.UID
	}
	u, ok := st.Users.Get(creator)
	if !ok {
		u, ok = st.Users.Get(v.UID)
	}
	var password string
	if ok {
		password = u.Template.Get("TOKEN_PASSWORD")
	}
	if password == "" {
		return "", fmt.Errorf("Cannot generate OneGate token: TOKEN_PASSWORD not set in the user template.")
	}
	token, err := gatetoken.New(password, v.ID, v.STime)
	if err != nil {
		return "", fmt.Errorf("Cannot generate OneGate token: %w", err)
	}
	return token, nil
}
