package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// VMs so large that fifty are too much for one transaction are made, change their
// owner and go in smaller steps; what cannot be cut into steps is refused, and the
// refusal says why.
func TestLargeVMs(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	long := strings.Repeat("x", 12<<10) // fifty of them are more than 512 KiB
	b.vmt = b.Template("NAME=large\nCPU=0.1\nMEMORY=64\nNOTES=\"" + long + "\"")
	id := b.service("", b.role("web 60", ""))
	b.waitState(id, one.ServiceRunning)
	b.must(b.flow.Chown(b.Context(), b.Admin, id, alice.UID, alice.GID))
	b.waitFor(id, one.ServiceRunning, func(st *store.State, s *one.Service) bool {
		if s.Chowning {
			return false
		}
		for vm := range st.ServiceVMs.Of(id) {
			if v, ok := st.VMs.Get(vm); ok && v.UID != alice.UID {
				return false
			}
		}
		return true
	})
	b.must(b.flow.Undeploy(b.Context(), b.Admin, id))
	b.waitGone(id)

	var roles []string
	for i := range 60 {
		b.vmt = b.Template(fmt.Sprintf("NAME=large%d\nCPU=0.1\nMEMORY=64\nNOTES=\"%s\"", i, long))
		roles = append(roles, b.role(fmt.Sprintf("r%d 1", i), ""))
	}
	tid := b.template("", roles...)
	before := b.st.View().Templates.Len()
	_, err := b.flow.CloneTemplate(b.Context(), b.Admin, tid, "copy", true, false)
	if err == nil || errs.KindOf(err) != errs.API || !strings.HasPrefix(errs.Text(err), "the transaction writes ") {
		t.Errorf("a clone that is too large: %v, told as %q", err, errs.Text(err))
	}
	if n := b.st.View().Templates.Len(); n != before {
		t.Errorf("%d templates were made all the same", n-before)
	}
}
