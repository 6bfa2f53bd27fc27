package cloud

import (
	"fmt"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// targets gives disks their device names: a prefix and the lowest free letter,
// counted per prefix. Source: resources reference §1.3.
type targets struct {
	used map[string]bool
	done map[int]bool // disks that have been looked at, by position
}

func newTargets() *targets { return &targets{used: map[string]bool{}, done: map[int]bool{}} }

// reserve notes the names that are asked for.
func (t *targets) reserve(disks []tmpl.Vector, context tmpl.Vector) error {
	for _, v := range append(append([]tmpl.Vector(nil), disks...), context) {
		name := v.Get("TARGET")
		if name == "" {
			continue
		}
		if t.used[name] {
			return fmt.Errorf("Two disks have defined the same target %s", name)
		}
		t.used[name] = true
	}
	return nil
}

// next returns the lowest free name of a prefix.
func (t *targets) next(prefix string) string {
	for i := 0; ; i++ {
		name := prefix + letters(i)
		if !t.used[name] {
			t.used[name] = true
			return name
		}
	}
}

// letters counts a, b, …, z, aa, ab, …
func letters(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return letters(i/26-1) + string(rune('a'+i%26))
}

// assign names the first OS disk and the CDs.
func (t *targets) assign(disks []tmpl.Vector) {
	for i, v := range disks {
		if v.Has(osMark) {
			t.name(disks, i)
			break
		}
	}
	for i, v := range disks {
		if v.Get("TYPE") == "CDROM" {
			t.name(disks, i)
		}
	}
}

// assignRest names the disks assign did not.
func (t *targets) assignRest(disks []tmpl.Vector) {
	for i := range disks {
		t.name(disks, i)
	}
}

func (t *targets) name(disks []tmpl.Vector, i int) {
	if !t.done[i] && disks[i].Get("TARGET") == "" {
		disks[i] = disks[i].With("TARGET", t.next(disks[i].Get("DEV_PREFIX")))
	}
	t.done[i] = true
}

// contextTarget names the context CD's device.
func (t *targets) contextTarget(context tmpl.Vector, cdPrefix string) string {
	if name := context.Get("TARGET"); name != "" {
		return name
	}
	return t.next(firstOf(context.Get("DEV_PREFIX"), cdPrefix))
}
