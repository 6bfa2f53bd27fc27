package tmpl_test

import (
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/tmpl"
	"pgregory.net/rapid"
)

// genTemplate draws templates that every form can carry.
func genTemplate() *rapid.Generator[*tmpl.Template] {
	name := rapid.OneOf(rapid.SampledFrom([]string{"A", "B", "DISK", "NIC"}), rapid.StringMatching(`_?[A-WYZ][A-Z0-9_]{0,6}`))
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"", `"`, `\"`, `\\`, "[", "]", "=", ",", "#", "\n", " ", "]]", "<", "&amp;", "<![CDATA[", "ü☁😀"}),
		rapid.StringMatching(`[ -~\n\t]{0,8}`))
	value := rapid.Custom(func(t *rapid.T) string {
		v := strings.ReplaceAll(strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "pieces"), ""), "]]>", "]] >")
		return strings.TrimRight(v, `\`)
	})
	attr := rapid.Custom(func(t *rapid.T) tmpl.Attr {
		n := name.Draw(t, "name")
		if rapid.Bool().Draw(t, "single") {
			return tmpl.Single(n, value.Draw(t, "value"))
		}
		var pairs []string
		for range rapid.IntRange(1, 4).Draw(t, "pairs") {
			pairs = append(pairs, name.Draw(t, "sub"), value.Draw(t, "value"))
		}
		return tmpl.Vec(n, pairs...)
	})
	return rapid.Custom(func(t *rapid.T) *tmpl.Template {
		return tmpl.New(rapid.SliceOfN(attr, 0, 8).Draw(t, "attributes")...)
	})
}

func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genTemplate().Draw(t, "template")
		var stored tmpl.Template
		if err := stored.UnmarshalJSON(want.AppendStored(nil)); err != nil || !stored.Equal(want) {
			t.Fatalf("stored as %s: %v", want.AppendStored(nil), err)
		}
		text, err := tmpl.Parse(want.Text())
		if err != nil || !text.Equal(want) {
			t.Fatalf("text\n%s\nerror %v\ngot  %s\nwant %s", want.Text(), err, text.AppendStored(nil), want.AppendStored(nil))
		}
		doc := "<TEMPLATE>" + string(want.AppendXML(nil)) + "</TEMPLATE>"
		fromXML, err := tmpl.Parse(doc)
		if err != nil || !fromXML.Equal(want) {
			t.Fatalf("XML\n%s\nerror %v\ngot  %s\nwant %s", doc, err, fromXML.AppendStored(nil), want.AppendStored(nil))
		}
	})
}

func TestMergeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, over := genTemplate().Draw(t, "old"), genTemplate().Draw(t, "over")
		checkMerge(t, old, over)
		if !old.Merge(nil).Equal(old) || !(*tmpl.Template)(nil).Merge(over).Equal(over) {
			t.Fatalf("nothing is not neutral to %s and %s", old.Text(), over.Text())
		}
	})
}

func TestEncryptProperty(t *testing.T) {
	list := []string{"A", "DISK", "NIC/A", "NIC/B"}
	rapid.Check(t, func(t *rapid.T) {
		want := genTemplate().Draw(t, "template")
		secret, err := tmpl.Encrypt(want, list, oneKey)
		if err != nil {
			t.Fatal(err)
		}
		again, err := tmpl.Encrypt(secret, list, oneKey)
		if err != nil || !again.Equal(secret) {
			t.Fatalf("encrypted twice: %v, %s", err, again.Text())
		}
		plain, err := tmpl.Decrypt(secret, list, oneKey)
		if err != nil || !plain.Equal(want) {
			t.Fatalf("decrypted: %v, %s", err, plain.Text())
		}
	})
}

// A restricted attribute never changes through an update that passes.
func TestRestrictedProperty(t *testing.T) {
	r, err := tmpl.NewRestricted([]string{"A", "DISK/A", "NIC/B", "NIC/DISK"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		old, next := genTemplate().Draw(t, "old"), genTemplate().Draw(t, "next")
		if rapid.Bool().Draw(t, "from old") { // else hardly one would pass
			next = old.Merge(next.Without("A", "DISK", "NIC"))
		}
		replace := rapid.Bool().Draw(t, "replace")
		_, bad, kept := r.CheckUpdate(old, next, replace)
		if bad {
			return
		}
		result := kept
		if !replace {
			result = old.Merge(kept)
		}
		if !tmpl.New(result.Named("A")...).Equal(tmpl.New(old.Named("A")...)) {
			t.Fatalf("A changed: %s", result.Text())
		}
		for _, e := range []struct{ name, sub string }{{"DISK", "A"}, {"NIC", "B"}, {"NIC", "DISK"}} {
			count := map[string]int{}
			for _, v := range old.Vectors(e.name) {
				if s, ok := v.Lookup(e.sub); ok {
					count[s]++
				}
			}
			for _, v := range result.Vectors(e.name) {
				if s, ok := v.Lookup(e.sub); ok {
					count[s]--
				}
			}
			for value, n := range count {
				if n != 0 {
					t.Fatalf("%s/%s %q changed: %s", e.name, e.sub, value, result.Text())
				}
			}
		}
	})
}
