package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// storeFormat is the version of what is not the form of one kind: the keys, the
// head of a value, the protocol of claims.
const storeFormat = 1

// format is the value of the format key: which programs can read the data. It is
// raised with the first claim of a newer program, before that writes anything.
type format struct {
	Format int            `json:"format"`
	Kinds  map[string]int `json:"kinds"` // version of each kind
}

func (cs *codecs) format() format {
	f := format{storeFormat, map[string]int{}}
	for k := range cs {
		f.Kinds[kindInfo[k].name] = cs[k].version()
	}
	return f
}

// check refuses data of a newer program.
func (f *format) check(cs *codecs) error {
	if f.Format > storeFormat {
		return fmt.Errorf("the data has store format %d, this program knows %d: %w", f.Format, storeFormat, ErrNewerData)
	}
	var errs []error
	known := cs.format().Kinds
	for name, version := range f.Kinds {
		if version > known[name] {
			errs = append(errs, fmt.Errorf("the data has %s in version %d, this program knows %d: %w", name, version, known[name], ErrNewerData))
		}
	}
	return errors.Join(errs...)
}

// renew returns the operations that raise the stored format to this program's.
func (f *format) renew(cs *codecs) []op {
	now := cs.format()
	if f.Format == now.Format && maps.Equal(f.Kinds, now.Kinds) {
		return nil
	}
	val, err := json.Marshal(now)
	if err != nil {
		panic(err) // numbers and names: it cannot fail
	}
	return []op{{keyFormat, string(val)}}
}

// isState tells keys of the state from those the store keeps about itself.
func isState(key string) bool {
	return strings.HasPrefix(key, "fed/") || strings.HasPrefix(key, "zone/")
}

// decodeMeta reads a value the store keeps about itself. It ignores fields it
// does not know.
func decodeMeta(o op, v any) error {
	if o.val == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(o.val), v); err != nil {
		return fmt.Errorf("value of %q: %w", o.key, err)
	}
	return nil
}
