package reconcile

import (
	"reflect"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

// Every field counts, at every depth: one that is added to a service and forgotten
// in same would be lost when it changes alone.
func TestSameLooksAtEveryField(t *testing.T) {
	full := func() *one.Service {
		s := &one.Service{}
		fillIn(reflect.ValueOf(s).Elem())
		return s
	}
	if !same(full(), full()) {
		t.Fatal("a service is not the same as itself")
	}
	n := 0
	for {
		s := full()
		at, what := n, ""
		if !alter(reflect.ValueOf(s).Elem(), "Service", &at, &what) {
			break
		}
		n++
		if same(s, full()) || same(full(), s) {
			t.Errorf("a change of %s is not seen", what)
		}
	}
	if n < 40 {
		t.Errorf("only %d fields were changed", n)
	}
}

// fillIn gives everything in a value something to compare.
func fillIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillIn(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		item := reflect.New(v.Type().Elem()).Elem()
		fillIn(item)
		v.SetMapIndex(reflect.ValueOf("x").Convert(v.Type().Key()), item)
	default:
		bump(v)
	}
}

// bump changes a value that is not made of others.
func bump(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	default:
		panic("no change for a " + v.Kind().String())
	}
}

// alter makes the at-th of all changes there are; false if there are fewer.
func alter(v reflect.Value, name string, at *int, what *string) bool {
	here := func(change func()) bool {
		*at--
		if *at >= 0 {
			return false
		}
		change()
		*what = name
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if alter(v.Field(i), name+"."+v.Type().Field(i).Name, at, what) {
				return true
			}
		}
		return false
	case reflect.Slice:
		return here(func() { v.Set(reflect.Zero(v.Type())) }) || alter(v.Index(0), name+"[0]", at, what)
	case reflect.Map:
		return here(func() { v.Set(reflect.Zero(v.Type())) })
	}
	return here(func() { bump(v) })
}
