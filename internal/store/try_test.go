package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/store/storetest"
)

// What a failed attempt did is gone, from the tables, the indexes, the sums and
// from what is stored; what was done before and after it stays.
func TestTry(t *testing.T) {
	s := storetest.New(t)
	refused := errors.New("refused")
	group := func(tx *store.Tx, name string) int {
		id := tx.NextID("group", 100)
		tx.PutGroup(&one.Group{ID: id, Name: name})
		return id
	}
	image := func(tx *store.Tx, id, uid int) {
		tx.PutImage(&one.Image{Meta: one.Meta{ID: id, UID: uid, Name: "i"}, Size: 10, CloningID: -1})
	}
	s.Do(func(tx *store.Tx) { image(tx, 1, 5) })
	err := s.Update(context.Background(), func(tx *store.Tx) error {
		group(tx, "before")
		if err := tx.Try(func() error {
			group(tx, "within")
			image(tx, 1, 6)
			image(tx, 2, 6)
			if err := tx.Try(func() error { group(tx, "kept by the inner, lost by the outer"); return nil }); err != nil {
				t.Error(err)
			}
			tx.Emit("topic", 1, 0, "x")
			return refused
		}); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		if _, ok := tx.GroupNames.Find("within"); ok || tx.Groups.Len() != 1 || tx.UserDS.Len() != 1 {
			t.Errorf("after the failure: %d groups, %d sums", tx.Groups.Len(), tx.UserDS.Len())
		}
		if err := tx.Try(func() error {
			if err := tx.Try(func() error { group(tx, "inner"); return refused }); !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
			group(tx, "outer")
			return nil
		}); err != nil {
			t.Error(err)
		}
		if id := group(tx, "after"); id != 102 {
			t.Errorf("id %d: those of the failure were not given back", id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		st := s.View()
		var names []string
		for _, g := range st.Groups.All() {
			names = append(names, g.Name)
		}
		if len(names) != 3 || names[0] != "before" || names[1] != "outer" || names[2] != "after" || st.Images.Len() != 1 || st.Outbox.Len() != 0 || st.UserUsage(5).Datastores[0].Size != 10 {
			t.Errorf("%s: groups %v, %d images, %d outbox records", what, names, st.Images.Len(), st.Outbox.Len())
		}
	}
	check("committed")
	s.Crash()
	check("read back")
}
