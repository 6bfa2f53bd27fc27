package oneapi_test

import (
	"errors"
	"testing"

	gocaerrors "github.com/OpenNebula/one/src/oca/go/src/goca/errors"
	"github.com/OpenNebula/one/src/oca/go/src/goca/parameters"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/shared"

	"github.com/trifid-cloud/trifid/internal/rig"
)

// A user who may not create networks makes one of a template that an
// administrator wrote and lets everybody use, by the original's Go client.
func TestGocaVNTemplate(t *testing.T) {
	s := newServer(t)
	c := gocaFor(t, s, "oneadmin", rig.OneadminPassword)
	_, err := c.Users().Create("ana", "secret", "core", nil)
	check(t, "create a user", err)
	ana := gocaFor(t, s, "ana", "secret")

	id, err := c.VNTemplates().Create("NAME=edge\nVN_MAD=bridge\nDNS=\"10.0.0.1\"")
	check(t, "allocate", err)
	check(t, "clone", c.VNTemplate(id).Clone("second"))
	copied, err := c.VNTemplates().ByName("second")
	check(t, "find the clone", err)
	check(t, "rename", c.VNTemplate(copied).Rename("copy"))
	check(t, "update", c.VNTemplate(copied).Update("COLOUR=red", parameters.Merge))
	check(t, "chown", c.VNTemplate(copied).Chown(2, 1))
	check(t, "lock", ana.VNTemplate(copied).Lock(shared.LockUse))
	v, err := ana.VNTemplate(copied).Info(false)
	check(t, "info", err)
	colour, err := v.Template.GetStr("COLOUR")
	if err != nil || colour != "red" || v.Name != "copy" || v.UName != "ana" || v.GName != "users" || v.RegTime == "" || v.LockInfos == nil || v.LockInfos.Owner != 2 {
		t.Errorf("the clone is %+v (%v)", v, err)
	}
	wantCode(t, "instantiate while it is locked", gocaerrors.OneAuthorizationError, second(ana.VNTemplate(copied).Instantiate("x", "")))
	check(t, "unlock", ana.VNTemplate(copied).Unlock())
	check(t, "delete", ana.VNTemplate(copied).Delete())
	wantCode(t, "info of what is gone", gocaerrors.OneNoExistsError, second(c.VNTemplate(copied).Info(false)))

	wantCode(t, "use without a right", gocaerrors.OneAuthorizationError, second(ana.VNTemplate(id).Instantiate("mine", "")))
	check(t, "chmod", c.VNTemplate(id).Chmod(shared.Permissions{OwnerU: -1, OwnerM: -1, OwnerA: -1, GroupU: -1, GroupM: -1, GroupA: -1, OtherU: 1, OtherM: -1, OtherA: -1}))
	wantCode(t, "another driver", gocaerrors.OneAuthorizationError, second(ana.VNTemplate(id).Instantiate("mine", "VN_MAD=vxlan")))
	wantCode(t, "an address range of nothing", gocaerrors.OneAllocateError, second(ana.VNTemplate(id).Instantiate("mine", "AR=[TYPE=IP4]")))
	wantCode(t, "create a network outright", gocaerrors.OneAuthorizationError, second(ana.VirtualNetworks().Create("NAME=mine\nVN_MAD=bridge", -1)))
	net, err := ana.VNTemplate(id).Instantiate("", "AR=[TYPE=IP4,IP=10.0.0.10,SIZE=4]")
	check(t, "instantiate", err)
	n, err := ana.VirtualNetwork(net).Info(false)
	check(t, "vn.info", err)
	from, err := n.Template.GetStr("TEMPLATE_NAME")
	if err != nil || from != "edge" || n.Name != "edge-0" || n.UName != "ana" || n.VNMad != "bridge" || len(n.ARs) != 1 || n.ARs[0].IP != "10.0.0.10" || len(n.Clusters.ID) != 1 {
		t.Errorf("the network is %+v (%v)", n, err)
	}
	pool, err := ana.VNTemplates().Info(parameters.PoolWhoAll)
	check(t, "vntemplatepool.info", err)
	if len(pool.VNTemplates) != 1 || pool.VNTemplates[0].ID != id {
		t.Errorf("the pool is %+v", pool.VNTemplates)
	}
}

// wantCode fails unless a call was refused with a code.
func wantCode(t *testing.T, what string, code gocaerrors.OneErrCode, err error) {
	t.Helper()
	var refused *gocaerrors.ResponseError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%s: got %v, want code %#x", what, err, int(code))
	}
}

// second drops the first of two results.
func second[T any](_ T, err error) error { return err }
