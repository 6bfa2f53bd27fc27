package xmlrpc

import "slices"

// Args reads the parameters of a call by their positions, the session being
// parameter 0. Types are strict: an int is no boolean and a boolean no int
// (XML-RPC reference §1). The first parameter that is missing or of another
// type is remembered as a fault, to be asked for once behind all reads; until
// then the reads go on and return zero values. Surplus parameters are ignored;
// a parameter that is nil counts as missing.
type Args struct {
	params []Value
	fault  *Fault
}

// Args returns a reader of the call's parameters.
func (c Call) Args() *Args { return &Args{params: c.Params} }

// Err returns the *Fault of the first read that failed, nil if none did.
func (a *Args) Err() error {
	if a.fault == nil {
		return nil
	}
	return a.fault
}

// Len returns the number of parameters given.
func (a *Args) Len() int { return len(a.params) }

// Has tells whether the parameter is given and not nil.
func (a *Args) Has(i int) bool { return i < len(a.params) && a.params[i].kind != KindNil }

// Text returns a string parameter.
func (a *Args) Text(i int) string {
	v, _ := a.read(i, KindString, "a string")
	return v.text
}

// Int returns an int parameter, which has 32 bits.
func (a *Args) Int(i int) int {
	v, _ := a.read(i, KindInt, "integer")
	return int(v.Int64())
}

// Int64 returns an i8 parameter.
func (a *Args) Int64(i int) int64 {
	v, _ := a.read(i, KindInt64, "64-bit integer")
	return v.Int64()
}

// Bool returns a boolean parameter.
func (a *Args) Bool(i int) bool {
	v, _ := a.read(i, KindBool, "boolean")
	return v.Bool()
}

// Ints returns a parameter that is an array of ints.
func (a *Args) Ints(i int) []int {
	v, ok := a.read(i, KindArray, "an array")
	if !ok {
		return nil
	}
	ints := make([]int, len(v.List()))
	for n, e := range v.List() {
		if e.kind != KindInt {
			a.fail("Array parameter that is supposed to hold integers does not")
			return nil
		}
		ints[n] = int(e.Int64())
	}
	return ints
}

// TextOr returns a string parameter, or the default when it is not given.
func (a *Args) TextOr(i int, missing string) string {
	if !a.Has(i) {
		return missing
	}
	return a.Text(i)
}

// IntOr returns an int parameter, or the default when it is not given.
func (a *Args) IntOr(i, missing int) int {
	if !a.Has(i) {
		return missing
	}
	return a.Int(i)
}

// BoolOr returns a boolean parameter, or the default when it is not given.
func (a *Args) BoolOr(i int, missing bool) bool {
	if !a.Has(i) {
		return missing
	}
	return a.Bool(i)
}

// IntsOr returns an array of ints, or a copy of the default when it is not
// given.
func (a *Args) IntsOr(i int, missing []int) []int {
	if !a.Has(i) {
		return slices.Clone(missing)
	}
	return a.Ints(i)
}

// read returns a parameter of the kind. The words are those of the reference's
// server library.
func (a *Args) read(i int, kind Kind, noun string) (v Value, ok bool) {
	if !a.Has(i) {
		a.fail("Not enough parameters")
		return Value{}, false
	}
	if a.params[i].kind != kind {
		a.fail("Parameter that is supposed to be " + noun + " is not")
		return Value{}, false
	}
	return a.params[i], true
}

func (a *Args) fail(message string) {
	if a.fault == nil {
		a.fault = &Fault{Code: FaultType, Message: message}
	}
}
