package cloud

import (
	"slices"
	"testing"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// TestExtendedTemplate: disks and NICs show what their images and networks say,
// nothing is taken, and what does not exist stays as it is.
func TestExtendedTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.AllocateTemplate(w.ctx, w.as(owner), parsed(`NAME=wide CPU=1
		DISK=[IMAGE=disk,SIZE=20,SOURCE="/etc/shadow"] DISK=[IMAGE_ID=77] DISK=[TYPE=swap,SIZE=5]
		NIC=[NETWORK_ID=0,MODEL=e1000,NAME=out] NIC=[NETWORK=nowhere] NIC=[NETWORK_MODE=auto]`))
	if err != nil {
		t.Fatal(err)
	}
	before := w.View().Revision
	_, ext, err := w.ExtendedTemplate(w.as(owner), id)
	if err != nil {
		t.Fatal(err)
	}
	if w.View().Revision != before {
		t.Error("reading has changed something")
	}
	n, _ := w.View().VNets.Get(0)
	disks, nics := ext.Template.Vectors("DISK"), ext.Template.Vectors("NIC")
	for _, c := range []struct {
		of        tmpl.Vector
		key, want string
	}{
		{disks[0], "IMAGE_ID", "0"}, {disks[0], "IMAGE", "disk"}, {disks[0], "SIZE", "20"}, {disks[0], "ORIGINAL_SIZE", "10"}, {disks[0], "SOURCE", "/ds/disk"},
		{disks[0], "DATASTORE_ID", "1"}, {disks[0], "FORMAT", "raw"}, {disks[0], osMark, ""}, {disks[0], "DISK_ID", ""},
		{disks[1], "IMAGE_ID", "77"}, {disks[1], "SOURCE", ""}, {disks[2], "TYPE", "swap"}, {disks[2], "SIZE", "5"},
		{nics[0], "NETWORK", n.Name}, {nics[0], "BRIDGE", n.Bridge}, {nics[0], "VN_MAD", n.VNMad}, {nics[0], "MODEL", "e1000"}, {nics[0], "IP", ""},
		{nics[0], "SECURITY_GROUPS", n.Template.Get("SECURITY_GROUPS")}, {nics[1], "NETWORK", "nowhere"}, {nics[2], "NETWORK_MODE", "auto"}, {nics[2], "NETWORK_ID", ""},
	} {
		if got := c.of.Get(c.key); got != c.want {
			t.Errorf("%s is %q, want %q, in %v", c.key, got, c.want, c.of)
		}
	}
	if stored, _ := w.View().Templates.Get(id); stored.Template.Vectors("DISK")[0].Get("SOURCE") != "/etc/shadow" {
		t.Error("the stored template is another than before")
	}
	if _, _, err := w.ExtendedTemplate(w.as(owner), 99); errs.KindOf(err) != errs.NoExists {
		t.Errorf("a template that does not exist: %v", err)
	}
}

// TestChmodTemplate: the images of the disks follow as far as their owner lets
// them; others are left alone.
func TestChmodTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(func(tx *store.Tx) {
		i := *tx.Images.At(1)
		i.UID, i.UName = stranger, "stranger"
		tx.PutImage(&i)
	})
	id, err := w.AllocateTemplate(w.ctx, w.as(owner), parsed("NAME=two CPU=1 DISK=[IMAGE_ID=0] DISK=[IMAGE_ID=1] DISK=[IMAGE_ID=77]"))
	if err != nil {
		t.Fatal(err)
	}
	image := func(id int) [9]int { i, _ := w.View().Images.Get(id); return i.Perms.Bits() }
	mine, foreign := image(0), image(1)
	if err := w.ChmodTemplate(w.ctx, w.as(owner), id, oneBit(6, 1), false); err != nil {
		t.Fatal(err)
	}
	if image(0) != mine {
		t.Error("an image follows though it was not asked for")
	}
	if err := w.ChmodTemplate(w.ctx, w.as(owner), id, oneBit(6, 1), true); err != nil {
		t.Fatal(err)
	}
	mine[6] = 1
	if got, _ := w.View().Templates.Get(id); got.Perms.Bits()[6] != 1 || image(0) != mine || image(1) != foreign {
		t.Errorf("template %v, image of its owner %v, of another %v", got.Perms.Bits(), image(0), image(1))
	}
}

// TestTemplateOfNewVM: which of the attributes that say where a VM comes from are
// its own. Source: the schema of VMs, XML-RPC reference §8.1.
func TestTemplateOfNewVM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, err := w.Instantiate(w.ctx, w.as(owner), 0, "", false, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := w.View().VM(id)
	if v.Name != "plain-"+itoa(id) || v.Template.Get("VMID") != itoa(id) || v.Template.Get("TEMPLATE_ID") != "0" || v.Template.Has("TM_MAD_SYSTEM") {
		t.Errorf("%s: %s", v.Name, v.Template)
	}
	if i := slices.IndexFunc([]*tmpl.Template{v.Template, v.UserTemplate}, func(t *tmpl.Template) bool { return t.Has("TEMPLATE_NAME") }); i >= 0 {
		t.Error("TEMPLATE_NAME is kept; it only makes the VM's name")
	}
	if err := w.DeployVM(w.ctx, w.as(one.OneadminID), id, 0, false, -1, nil); err != nil {
		t.Fatal(err)
	}
	if v, _ = w.View().VM(id); v.Template.Get("TM_MAD_SYSTEM") != v.LastRecord().TMMad || v.Template.Get("TM_MAD_SYSTEM") == "" {
		t.Errorf("TM_MAD_SYSTEM is %q, on a datastore of %q", v.Template.Get("TM_MAD_SYSTEM"), v.LastRecord().TMMad)
	}
}
