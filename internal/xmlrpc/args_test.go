package xmlrpc

import (
	"errors"
	"reflect"
	"testing"
)

func TestArgs(t *testing.T) {
	c := Call{Method: "one.vm.info", Params: []Value{String("u:p"), Int(7), Bool(true), Int64(1 << 40), Ints([]int{1, -2}), {}, Array(), Int(8)}}
	a := c.Args()
	if a.Text(0) != "u:p" || a.Int(1) != 7 || !a.Bool(2) || a.Int64(3) != 1<<40 || !reflect.DeepEqual(a.Ints(4), []int{1, -2}) || len(a.Ints(6)) != 0 {
		t.Errorf("wrong values")
	}
	if a.TextOr(0, "x") != "u:p" || a.IntOr(1, 9) != 7 || !a.BoolOr(2, false) || !reflect.DeepEqual(a.IntsOr(4, nil), []int{1, -2}) {
		t.Errorf("wrong values where a default is not needed")
	}
	// The fifth is nil, which counts as not given; so does what is beyond.
	if a.TextOr(5, "x") != "x" || a.IntOr(5, 9) != 9 || !a.BoolOr(100, true) || !reflect.DeepEqual(a.IntsOr(100, []int{3}), []int{3}) {
		t.Errorf("wrong defaults")
	}
	if a.Has(5) || a.Has(8) || !a.Has(7) || a.Len() != 8 {
		t.Errorf("wrong presence")
	}
	if err := a.Err(); err != nil {
		t.Errorf("unexpected %v", err)
	}
}

func TestArgsFaults(t *testing.T) {
	params := []Value{String("s"), Int(1), Bool(true), Int64(1), Array(String("x")), {}, structOf(), {kind: KindDouble}}
	const (
		text  = "Parameter that is supposed to be a string is not"
		num   = "Parameter that is supposed to be integer is not"
		num64 = "Parameter that is supposed to be 64-bit integer is not"
		flag  = "Parameter that is supposed to be boolean is not"
		list  = "Parameter that is supposed to be an array is not"
		few   = "Not enough parameters"
	)
	tests := []struct {
		name string
		read func(*Args)
		want string
	}{
		{"int for boolean", func(a *Args) { a.Bool(1) }, flag},
		{"boolean for int", func(a *Args) { a.Int(2) }, num},
		{"i8 for int", func(a *Args) { a.Int(3) }, num},
		{"int for i8", func(a *Args) { a.Int64(1) }, num64},
		{"string for int", func(a *Args) { a.Int(0) }, num},
		{"int for string", func(a *Args) { a.Text(1) }, text},
		{"string for array", func(a *Args) { a.Ints(0) }, list},
		{"array for string", func(a *Args) { a.Text(4) }, text},
		{"struct for string", func(a *Args) { a.Text(6) }, text},
		{"double for int", func(a *Args) { a.Int(7) }, num},
		{"strings for ints", func(a *Args) { a.Ints(4) }, "Array parameter that is supposed to hold integers does not"},
		{"missing", func(a *Args) { a.Text(8) }, few},
		{"nil", func(a *Args) { a.Int(5) }, few},
		{"optional of another type", func(a *Args) { a.BoolOr(1, true) }, flag},
		{"optional of another type", func(a *Args) { a.IntOr(2, 1) }, num},
		{"optional of another type", func(a *Args) { a.TextOr(1, "") }, text},
		{"optional of another type", func(a *Args) { a.IntsOr(1, nil) }, list},
		{"the first counts", func(a *Args) { a.Int(0); a.Text(8); a.Text(0) }, num},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := Call{Params: params}.Args()
			tt.read(a)
			var f *Fault
			if err := a.Err(); !errors.As(err, &f) || f.Code != FaultType || f.Message != tt.want {
				t.Errorf("got %v, want %d %s", err, FaultType, tt.want)
			}
		})
	}
}
