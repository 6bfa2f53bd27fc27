package cloud

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// TestCoreAttributes: what only the core may fill in is not taken from a template, so
// that nobody names files of the host or parts of its network.
func TestCoreAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := "CPU=1 MEMORY=64 DISK=[IMAGE_ID=0"
	for _, k := range diskCoreAttrs {
		text += "," + k + `="/etc/shadow"`
	}
	text += "] NIC=[NETWORK_ID=0"
	for _, k := range nicCoreAttrs {
		text += "," + k + `="/etc/shadow"`
	}
	text += `] OS=[INITRD_DS="$FILE[IMAGE_ID=3]"`
	for _, k := range osCoreAttrs {
		text += "," + k + `="/etc/shadow"`
	}
	w.do(func(tx *store.Tx) {
		i := *tx.Images.At(2)
		i.Meta, i.Type, i.Source = ownersMeta(3, "initrd"), one.ImageRamdisk, "/ds/initrd"
		tx.PutImage(&i)
	})
	id, err := w.AllocateVM(w.ctx, w.as(0), parsed(text+"]"), false)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := w.View().VM(id)
	for _, name := range []string{"DISK", "NIC", "OS"} {
		for _, p := range v.Template.Vector(name) {
			if p.Value == "/etc/shadow" {
				t.Errorf("%s/%s is what the template said", name, p.Name)
			}
		}
	}
	if got := v.Template.Vector("OS").Get("INITRD_DS_SOURCE"); got != "/ds/initrd" {
		t.Errorf("the initial RAM disk is %q", got)
	}
}
