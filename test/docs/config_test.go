package docs

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/config"
)

// setting is a key of the configuration as the code has it.
type setting struct{ key, typ, def string }

// settings lists every key of the configuration, in the order of the code.
func settings(prefix string, v reflect.Value) []setting {
	var out []setting
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("yaml")
		f := v.Field(i)
		if _, isDuration := f.Interface().(config.Duration); f.Kind() == reflect.Struct && !isDuration {
			out = append(out, settings(key+".", f)...)
			continue
		}
		out = append(out, setting{key, typeOf(f), defaultOf(f)})
	}
	return out
}

func typeOf(v reflect.Value) string {
	if _, ok := v.Interface().(config.Duration); ok {
		return "duration"
	}
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "yes/no"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Float64:
		return "decimal"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	}
	return v.Kind().String()
}

// defaultOf is how a default stands in the table: code, or "–" for what is empty.
func defaultOf(v reflect.Value) string {
	if d, ok := v.Interface().(config.Duration); ok {
		return "`" + d.Std().String() + "`"
	}
	switch v.Kind() {
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, "`"+v.Index(i).String()+"`")
		}
		if len(items) == 0 {
			return "–"
		}
		return strings.Join(items, ", ")
	case reflect.Map:
		if v.Len() == 0 {
			return "–"
		}
	case reflect.String:
		if v.Len() == 0 {
			return "–"
		}
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// Every setting has a row in docs/config.md with its type and its default, and no row is without a setting.
func TestSettings(t *testing.T) {
	rows := map[string][]string{}
	for _, r := range one(t, "docs/config.md").rows {
		if key := strings.Trim(r.cells[0], "`"); r.cells[0] != key {
			if rows[key] != nil {
				t.Errorf("docs/config.md:%d: a second row for %s", r.line, key)
			}
			rows[key] = r.cells
		}
	}
	all := settings("", reflect.ValueOf(config.Default()))
	for _, s := range all {
		cells := rows[s.key]
		delete(rows, s.key)
		switch {
		case cells == nil:
			t.Errorf("docs/config.md: no row for | `%s` | %s | %s | … |", s.key, s.typ, s.def)
		case len(cells) != 4 || cells[3] == "":
			t.Errorf("docs/config.md: the row of %s needs key, type, default and meaning", s.key)
		case cells[1] != s.typ || cells[2] != s.def:
			t.Errorf("docs/config.md: %s is %s with default %s, not %s with %s", s.key, s.typ, s.def, cells[1], cells[2])
		}
	}
	for key := range rows {
		t.Errorf("docs/config.md: there is no setting %s", key)
	}
	if len(all) < 40 {
		t.Errorf("only %d settings found: the check no longer sees them", len(all))
	}
}
