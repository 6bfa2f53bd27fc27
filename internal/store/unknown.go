package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// unknown holds the fields of a stored value that this program's types have not,
// in the shape of the value: a newer program wrote them, and they are written
// back whenever the value is, so that it finds them again.
type unknown struct {
	fields map[string]json.RawMessage // of this object
	within map[string]*unknown        // in known fields, map entries and array elements
}

func (u *unknown) empty() bool { return u == nil || len(u.fields) == 0 && len(u.within) == 0 }

func (u *unknown) nest(name string, inner *unknown) {
	if inner.empty() {
		return
	}
	if u.within == nil {
		u.within = map[string]*unknown{}
	}
	u.within[name] = inner
}

// findUnknown returns the fields in body that t has not, nil if there are none.
// canonical is how this program writes the value that it read body as.
func findUnknown(body, canonical []byte, t reflect.Type) *unknown {
	u := &unknown{}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if readsItself(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		known, own := fieldsOf(t), object(canonical)
		for name, raw := range object(body) {
			f, ok := known[strings.ToLower(name)]
			if !ok {
				if u.fields == nil {
					u.fields = map[string]json.RawMessage{}
				}
				u.fields[name] = raw
				continue
			}
			u.nest(f.name, findUnknown(raw, own[f.name], f.typ))
		}
	case reflect.Map:
		own := object(canonical)
		for name, raw := range object(body) {
			u.nest(name, findUnknown(raw, own[name], t.Elem()))
		}
	case reflect.Slice, reflect.Array:
		own := array(canonical)
		for i, raw := range array(body) {
			if i < len(own) {
				u.nest(elementName(own[i], i), findUnknown(raw, own[i], t.Elem()))
			}
		}
	}
	if u.empty() {
		return nil
	}
	return u
}

// merge returns body, the JSON of a value, with the unknown fields added to
// those objects in it that are still there.
func (u *unknown) merge(body []byte) ([]byte, error) {
	if u.empty() {
		return body, nil
	}
	if list := array(body); list != nil {
		for i, raw := range list {
			merged, err := u.within[elementName(raw, i)].merge(raw)
			if err != nil {
				return nil, err
			}
			list[i] = merged
		}
		return marshal(list)
	}
	fields := object(body)
	if fields == nil { // null: what held them is gone
		return body, nil
	}
	for name, raw := range fields {
		merged, err := u.within[name].merge(raw)
		if err != nil {
			return nil, err
		}
		fields[name] = merged
	}
	for name, raw := range u.fields {
		fields[name] = raw
	}
	return marshal(fields)
}

// marshal keeps what is already JSON as it is, where json.Marshal would escape it.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), err
}

// elementName says which element of an array an object is, so that its unknown
// fields find it when the array has changed: by its id or name, else by place.
func elementName(raw json.RawMessage, i int) string {
	fields := object(raw)
	for _, name := range []string{"ID", "Seq", "Name", "name"} {
		if id, ok := fields[name]; ok {
			return name + "=" + string(id)
		}
	}
	return fmt.Sprintf("#%d", i)
}

type jsonField struct {
	name string
	typ  reflect.Type
}

// fieldsOf returns the JSON fields of a struct by lower-case name, as
// encoding/json matches names whatever their case.
func fieldsOf(t reflect.Type) map[string]jsonField {
	out := map[string]jsonField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out[strings.ToLower(name)] = jsonField{name, f.Type}
	}
	return out
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// readsItself tells whether a type has its own form of JSON.
func readsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(unmarshaler) || p.Implements(textUnmarshaler)
}

// object returns the fields of a JSON object, nil if it is none.
func object(raw []byte) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// array returns the elements of a JSON array, nil if it is none.
func array(raw []byte) []json.RawMessage {
	var a []json.RawMessage
	if json.Unmarshal(raw, &a) != nil {
		return nil
	}
	return a
}
