package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/hypervisor/sim"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// Without its creator's password a VM that wants a token does not boot, and says
// why; it can be stopped and ended all the same. Source: OneGate reference §2.
func TestTokenWithoutPassword(t *testing.T) {
	r := rig.Start(t, storetest.New(t).Store)
	r.AddHost("sim0", sim.Config{})
	tm := r.Template("NAME=t\nCPU=1\nMEMORY=128\nCONTEXT=[TOKEN=YES]")
	running, failing := r.Instantiate(tm, "a"), r.Instantiate(tm, "b")
	for _, vm := range []int{running, failing} {
		r.WaitVM(vm, one.VMActive, one.LCMRunning)
	}
	var made string
	set := func(password func(*one.User)) {
		r.Do(func(tx *store.Tx) {
			u := *tx.Users.At(one.OneadminID)
			password(&u)
			tx.PutUser(&u)
		})
	}
	set(func(u *one.User) {
		made, u.Template = u.Template.Get("TOKEN_PASSWORD"), u.Template.Without("TOKEN_PASSWORD")
	})
	for _, action := range []string{"poweroff", "terminate-hard"} {
		act(t, r, running, action)
		r.WaitVM(running, map[string]one.VMState{"poweroff": one.VMPoweroff, "terminate-hard": one.VMDone}[action], 0)
	}
	act(t, r, failing, "poweroff-hard")
	r.WaitVM(failing, one.VMPoweroff, 0)
	act(t, r, failing, "resume")
	v := r.WaitVM(failing, one.VMPoweroff, 0)
	if got := v.UserTemplate.Get("ERROR"); !strings.Contains(got, "Cannot generate OneGate token: TOKEN_PASSWORD not set in the user template.") {
		t.Errorf("ERROR is %q", got)
	}
	set(func(u *one.User) { u.Template = u.Template.With("TOKEN_PASSWORD", made) })
	act(t, r, failing, "resume")
	r.WaitVM(failing, one.VMActive, one.LCMRunning)
}
