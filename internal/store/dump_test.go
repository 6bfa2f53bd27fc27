package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// entries returns a table's content by the text of its keys.
func (t *Table[K, V]) entries() map[string]any {
	out := map[string]any{}
	for k, v := range t.All() {
		out[fmt.Sprint(k)] = v
	}
	return out
}

// dump returns the content of every table, index and sum of a state, but for
// those that are not a function of what is stored.
func dump(st *State) map[string]map[string]any {
	out := map[string]map[string]any{}
	v := reflect.ValueOf(st).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "LeaseHints" {
			continue
		}
		field := reflect.NewAt(v.Field(i).Type(), unsafe.Pointer(v.Field(i).UnsafeAddr()))
		switch x := field.Interface().(type) {
		case interface{ entries() map[string]any }:
			out[name] = x.entries()
		case *Index:
			out[name] = x.t.entries()
		case *Names:
			out[name] = x.t.entries()
		}
	}
	return out
}

var stateOptions = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.FilterValues(func(a, b json.RawMessage) bool { return len(a)+len(b) > 0 }, // else EquateEmpty's
		cmp.Comparer(func(a, b json.RawMessage) bool { return cmp.Equal(parsed(a), parsed(b)) })),
	cmp.AllowUnexported(unknown{}),
}

// parsed returns what a piece of JSON says, however it is written.
func parsed(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw)
	}
	return v
}

// sameState fails the test if two states differ in anything but their revision.
func sameState(t testing.TB, what string, got, want *State) {
	t.Helper()
	if d := cmp.Diff(dump(want), dump(got), stateOptions); d != "" {
		t.Fatalf("%s: states differ (-want +got):\n%s", what, d)
	}
}
