package cloud

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/store"
)

// refusal is a call that is refused, and in which words.
type refusal struct {
	what string
	uid  int
	call func(w *world, who auth.Caller) error
	kind errs.Kind
	text string
}

// refuse makes every call in a world and expects that nothing is left of it: no
// object, lease, sum or counter is another than before.
func (w *world) refuse(rows ...refusal) {
	w.t.Helper()
	before := content(w.View())
	for _, r := range rows {
		who := w.as(r.uid)
		rev := w.View().Revision
		err := r.call(w, who)
		switch {
		case err == nil:
			w.t.Errorf("%s: not refused", r.what)
		case errs.KindOf(err) != r.kind || errs.Text(err) != r.text:
			w.t.Errorf("%s: refused (kind %d) with\n %s\nwant (kind %d)\n %s", r.what, errs.KindOf(err), errs.Text(err), r.kind, r.text)
		}
		after := content(w.View())
		if d := cmp.Diff(before, after); d != "" || w.View().Revision != rev {
			w.t.Errorf("%s: the refusal has left traces, revision %d to %d (-before +after):\n%s", r.what, rev, w.View().Revision, d)
			before = after
		}
	}
}

// content returns what a state holds, as text, so that a value that is changed in
// place is found too: stored tables, sums and hints, by table and key.
func content(st *store.State) map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(st).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		all := v.Field(i).Addr().MethodByName("All")
		if !f.IsExported() || !all.IsValid() {
			continue
		}
		for k, x := range all.Call(nil)[0].Seq2() {
			text, err := json.Marshal(x.Interface())
			if err != nil {
				text = fmt.Appendf(nil, "%+v: %v", x.Interface(), err)
			}
			out[fmt.Sprint(f.Name, " ", k.Interface())] = string(text)
		}
	}
	return out
}

// TestContentShowsAll keeps refuse from comparing nothing.
func TestContentShowsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := content(w.View())
	var tables []string
	for k := range before {
		table, _, _ := strings.Cut(k, " ")
		tables = append(tables, table)
	}
	slices.Sort(tables)
	tables = slices.Compact(tables)
	for _, want := range []string{
		"Users", "Groups", "ACLs", "VDCs", "Zones", "Hosts", "Clusters", "Datastores", "Images", "VNets", "Leases", "SecGroups", "Templates", "VNTemplates", "VMs",
		"DoneVMs", "Schedules", "VRouters", "Documents", "Counters", "HostUsage", "ARUsage", "VNetUsage", "UserVM", "GroupVM", "UserDS", "GroupDS", "UserNet", "GroupNet",
	} {
		if !slices.Contains(tables, want) {
			t.Errorf("nothing of %s is compared", want)
		}
	}
	// What is changed without a transaction shows as well.
	v, _ := w.View().VM(0)
	v.Name = "changed in place"
	if cmp.Equal(before, content(w.View())) {
		t.Error("a VM that was changed in place is not noticed")
	}
}
