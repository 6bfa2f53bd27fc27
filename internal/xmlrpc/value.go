package xmlrpc

import (
	"encoding/base64"
	"math"
	"strconv"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values. Of these the interface itself uses strings, ints,
// booleans, arrays of ints and, between servers, 64-bit ints; the others are
// read so that a call that has them is refused for its types and not its form.
const (
	KindNil Kind = iota
	KindString
	KindInt // 32 bits
	KindInt64
	KindBool
	KindDouble
	KindArray
	KindStruct
	KindBase64   // the bytes, decoded
	KindDateTime // the text, unread
)

func (k Kind) String() string {
	switch k {
	case KindNil:
		return "nil"
	case KindString:
		return "string"
	case KindInt:
		return "int"
	case KindInt64:
		return "i8"
	case KindBool:
		return "boolean"
	case KindDouble:
		return "double"
	case KindArray:
		return "array"
	case KindStruct:
		return "struct"
	case KindBase64:
		return "base64"
	case KindDateTime:
		return "dateTime.iso8601"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is one immutable XML-RPC value. The zero Value is nil.
type Value struct {
	kind Kind
	bits uint64 // of ints, booleans and doubles
	text string // of strings, base64 and times
	of   *compound
}

// compound is what an array or a struct holds; names only of a struct.
type compound struct {
	values []Value
	names  []string
}

// String is a string value.
func String(s string) Value { return Value{kind: KindString, text: s} }

// Int is an int value. One beyond 32 bits is written as an i8.
func Int(n int) Value {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return Int64(int64(n))
	}
	return Value{kind: KindInt, bits: uint64(n)}
}

// Int64 is an i8 value.
func Int64(n int64) Value { return Value{kind: KindInt64, bits: uint64(n)} }

// Bool is a boolean value.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.bits = 1
	}
	return v
}

// Array is an array of the values, which are not copied.
func Array(values ...Value) Value {
	return Value{kind: KindArray, of: &compound{values: values}}
}

// Ints is an array of ints.
func Ints(ns []int) Value {
	values := make([]Value, len(ns))
	for i, n := range ns {
		values[i] = Int(n)
	}
	return Array(values...)
}

// Strings is an array of strings.
func Strings(ss []string) Value {
	values := make([]Value, len(ss))
	for i, s := range ss {
		values[i] = String(s)
	}
	return Array(values...)
}

// Kind returns the type of the value.
func (v Value) Kind() Kind { return v.kind }

// Text returns the text of a string, base64 or time value, otherwise "".
func (v Value) Text() string { return v.text }

// Int64 returns the number of an int or i8 value, 0 or 1 of a boolean,
// otherwise 0.
func (v Value) Int64() int64 {
	if v.kind == KindDouble {
		return 0
	}
	return int64(v.bits)
}

// Bool tells whether the value is a boolean which is true.
func (v Value) Bool() bool { return v.kind == KindBool && v.bits != 0 }

// Float returns the number of a double value, otherwise 0.
func (v Value) Float() float64 {
	if v.kind != KindDouble {
		return 0
	}
	return math.Float64frombits(v.bits)
}

// List returns the values of an array or, in the order of Names, of a struct.
// The caller does not change the slice.
func (v Value) List() []Value {
	if v.of == nil {
		return nil
	}
	return v.of.values
}

// Names returns the member names of a struct, in their order in the message.
// The caller does not change the slice.
func (v Value) Names() []string {
	if v.of == nil {
		return nil
	}
	return v.of.names
}

// Member returns the last member of that name of a struct.
func (v Value) Member(name string) (member Value, ok bool) {
	for i, n := range v.Names() {
		if n == name {
			member, ok = v.of.values[i], true
		}
	}
	return member, ok
}

// appendValue writes the value element.
func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, "<value>"...)
	switch v.kind {
	case KindNil:
		dst = append(dst, "<nil/>"...)
	case KindString:
		dst = append(dst, "<string>"...)
		dst = AppendEscaped(dst, v.text)
		dst = append(dst, "</string>"...)
	case KindInt:
		dst = append(dst, "<i4>"...)
		dst = strconv.AppendInt(dst, int64(v.bits), 10)
		dst = append(dst, "</i4>"...)
	case KindInt64:
		dst = append(dst, "<i8>"...)
		dst = strconv.AppendInt(dst, int64(v.bits), 10)
		dst = append(dst, "</i8>"...)
	case KindBool:
		dst = append(dst, "<boolean>"...)
		dst = append(dst, '0'+byte(v.bits))
		dst = append(dst, "</boolean>"...)
	case KindDouble:
		dst = append(dst, "<double>"...)
		dst = strconv.AppendFloat(dst, v.Float(), 'f', -1, 64)
		dst = append(dst, "</double>"...)
	case KindArray:
		dst = append(dst, "<array><data>\r\n"...)
		for _, e := range v.List() {
			dst = appendValue(dst, e)
			dst = append(dst, "\r\n"...)
		}
		dst = append(dst, "</data></array>"...)
	case KindStruct:
		dst = append(dst, "<struct>\r\n"...)
		for i, name := range v.Names() {
			dst = append(dst, "<member><name>"...)
			dst = AppendEscaped(dst, name)
			dst = append(dst, "</name>\r\n"...)
			dst = appendValue(dst, v.of.values[i])
			dst = append(dst, "</member>\r\n"...)
		}
		dst = append(dst, "</struct>"...)
	case KindBase64:
		dst = append(dst, "<base64>"...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(v.text))
		dst = append(dst, "</base64>"...)
	case KindDateTime:
		dst = append(dst, "<dateTime.iso8601>"...)
		dst = AppendEscaped(dst, v.text)
		dst = append(dst, "</dateTime.iso8601>"...)
	}
	return append(dst, "</value>"...)
}
