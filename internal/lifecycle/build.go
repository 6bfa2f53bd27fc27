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

// machineOf puts together what an agent must know of a VM, secrets in clear.
func (c *Controller) machineOf(st *store.State, v *one.VM) (*agentapi.Machine, error) {
	last := v.LastRecord()
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
	ctx, err := contextOf(st, v, vars)
	if err != nil {
		return nil, err
	}
	m.Context = ctx
	return m, nil
}

// contextOf returns the content of the context disk, with the token if the VM
// wants one. Source: OneGate reference §2 and §5.2.
func contextOf(st *store.State, v *one.VM, vars tmpl.Vector) (*agentapi.Context, error) {
	id, err := strconv.Atoi(vars.Get("DISK_ID"))
	if err != nil {
		return nil, fmt.Errorf("CONTEXT of VM %d has no DISK_ID", v.ID)
	}
	x := &agentapi.Context{DiskID: id, Target: vars.Get("TARGET"), Vars: vars, Time: v.STime}
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
		return nil, fmt.Errorf("Cannot generate OneGate token: TOKEN_PASSWORD not set in the user template.")
	}
	if x.Token, err = gatetoken.New(password, v.ID, v.STime); err != nil {
		return nil, fmt.Errorf("Cannot generate OneGate token: %w", err)
	}
	return x, nil
}
