package cloud

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
)

// right is a row of the authorization table: who may call a method in the world.
type right struct {
	method string
	what   string // which use of it, where there are several
	// may names those of owner, member, chief and stranger who may. Administrators
	// (oneadmin, serveradmin and deputy) may, unless primary is set, which keeps out
	// those whose primary group is another.
	may     string
	primary bool
	// needs are the rules, separated by "; ", that let somebody in who has no other
	// rights: all of them together, and none but these. "" asks for none; never means
	// that no rule helps.
	needs string
	call  func(w *world, who auth.Caller) error
}

const never = "never"

// errHidden stands for an object that a list leaves out.
var errHidden = errors.New("the list leaves it out")

// rightsTable holds all rows, by family. Sources: identity reference §6.4 and the
// column "Right" of the XML-RPC reference, §7.
func rightsTable() []right {
	return slices.Concat(userRights(), ruleRights(), hostRights(), storageRights(), documentRights(), netRights(), routerRights(), vmRights(), serviceRights(), poolRights())
}

// TestEveryMethodHasARow fails for a method that acts for a caller and that the
// table says nothing of.
func TestEveryMethodHasARow(t *testing.T) {
	rows := map[string]bool{}
	for _, r := range rightsTable() {
		name := r.method + " " + r.what
		if rows[name] {
			t.Errorf("%s is twice in the table", name)
		}
		rows[name], rows[r.method] = true, true
	}
	c, caller := reflect.TypeFor[*Cloud](), reflect.TypeFor[auth.Caller]()
	methods := 0
	for m := range c.Methods() {
		if slices.Contains(slices.Collect(m.Type.Ins()), caller) {
			methods++
			if !rows[m.Name] {
				t.Errorf("method %s has no row in the table of rights", m.Name)
			}
			delete(rows, m.Name)
		}
	}
	if methods < 100 {
		t.Errorf("found %d methods that take a caller", methods)
	}
	for name := range rows {
		if !strings.Contains(name, " ") {
			t.Errorf("the table has rows of %s, which is no method that takes a caller", name)
		}
	}
}

func TestRights(t *testing.T) {
	for _, r := range rightsTable() {
		t.Run(strings.TrimSpace(r.method+" "+r.what), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			may := strings.Fields(r.may)
			for _, who := range []struct {
				name  string
				uid   int
				admin bool
			}{
				{"oneadmin", one.OneadminID, true}, {"serveradmin", one.ServeradminID, true}, {"deputy", deputy, !r.primary},
				{"owner", owner, false}, {"member", member, false}, {"chief", chief, false}, {"stranger", stranger, false},
			} {
				w = r.try(w, who.name, who.uid, who.admin || slices.Contains(may, who.name), "")
			}
			r.tryRules(w)
		})
	}
}

// try calls the method, expecting it to be allowed or refused, and returns a world
// that is as new. A refusal names what is missing, and changes nothing.
func (r right) try(w *world, name string, uid int, allowed bool, missing string) *world {
	w.t.Helper()
	before := w.View().Revision
	err := r.call(w, w.as(uid))
	hidden := errors.Is(err, errHidden)
	switch {
	case allowed && err != nil:
		w.t.Errorf("%s is refused: %v", name, err)
	case !allowed && err == nil:
		w.t.Errorf("%s is allowed", name)
	case !allowed && !hidden && errs.KindOf(err) != errs.Authorization:
		w.t.Errorf("%s: refused for another reason: %v", name, err)
	case !allowed && !hidden && !strings.Contains(err.Error(), missing):
		w.t.Errorf("%s: the refusal %q does not say %q", name, err, missing)
	}
	if w.View().Revision == before {
		return w
	}
	if err != nil {
		w.t.Errorf("%s: a refused call has changed something", name)
	}
	return newWorld(w.t)
}

// tryRules calls the method for somebody with just the rules that are needed, and
// for somebody who instead of each one has all other rights on the same object.
func (r right) tryRules(w *world) {
	w.t.Helper()
	var needs []string
	if r.needs != "" && r.needs != never {
		needs = strings.Split(r.needs, "; ")
	}
	w = r.try(w, "somebody without rules", ruled, r.needs == "", "")
	if len(needs) == 0 {
		return
	}
	w = newWorld(w.t)
	w.grant(ruled, needs...)
	r.try(w, "somebody with the rules "+r.needs, ruled, true, "")
	for i := range needs {
		rules := slices.Clone(needs)
		var missing string
		rules[i], missing = allBut(needs[i])
		w = newWorld(w.t)
		w.grant(ruled, rules...)
		r.try(w, fmt.Sprintf("somebody with %s instead of %s", rules[i], needs[i]), ruled, false, missing)
	}
}

// allBut returns a rule that gives every right but that of the given one, and what
// the refusal for want of it says.
func allBut(rule string) (other, missing string) {
	word, resource, _ := strings.Cut(rule, " ")
	var rights []string
	for _, r := range []one.Right{one.Use, one.Manage, one.Admin, one.Create} {
		if r.String() != word {
			rights = append(rights, r.String())
		}
	}
	kind, selector, _ := strings.Cut(resource, "/")
	missing = "Not authorized to perform " + word + " " + kind
	if id, ok := strings.CutPrefix(selector, "#"); ok {
		missing += " [" + id + "]"
	}
	return strings.Join(rights, "+") + " " + resource, missing
}

// inList finds an object in a list.
func inList[T any](rows iter.Seq[T], is func(T) bool) error {
	for o := range rows {
		if is(o) {
			return nil
		}
	}
	return errHidden
}

// withID finds an owned object in a list.
func withID[T one.Owned](rows iter.Seq[T], id int, err error) error {
	if err != nil {
		return err
	}
	return inList(rows, func(o T) bool { return o.Head().ID == id })
}

// second drops the first of two results.
func second[T any](_ T, err error) error { return err }

// third drops the first two of three results.
func third[T, U any](_ T, _ U, err error) error { return err }
