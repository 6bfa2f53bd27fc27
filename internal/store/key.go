package store

import (
	"fmt"
	"strconv"
	"strings"
)

// A VM is stored as several values, so that a guest which writes its user
// template does not make the store write the rest again. These kinds name the
// parts below the store; above it there is only KindVM, whose own key holds the
// core.
const (
	kindVMUser    = numKinds + iota // the user template, by VM
	kindVMHistory                   // one history record, by VM and sequence
	numStored
)

// Keys outside fed/ and zone/: what the store keeps about itself.
const (
	keyEpoch  = "meta/epoch"
	keyFormat = "meta/format"
	keyDefrag = "meta/defrag"
)

// slot names one stored value: a kind with a number or a name. The number packs
// several where the kind has a composite key.
type slot struct {
	kind Kind
	id   uint64
	name string
}

// historySlot names a history record.
func historySlot(vm, seq int) slot { return slot{kind: kindVMHistory, id: pair(vm, seq)} }

// keyParts tells how a kind's number is written in its key: the widths in bits
// of the parts between slashes, most significant first; nil for named kinds.
func (k Kind) keyParts() []uint {
	switch k {
	case KindLease:
		return []uint{20, 12, 32}
	case KindServiceLog, kindVMHistory:
		return []uint{32, 32}
	case KindJoinToken, KindCounter, KindSetting, KindQuotas, KindRequest:
		return nil
	}
	return []uint{64}
}

// key returns the etcd key: fed/user/0, zone/lease/3/0/17, zone/counter/vm.
func (s slot) key() string {
	var buf [64]byte
	b := buf[:0]
	if kindInfo[s.kind].shared {
		b = append(b, "fed/"...)
	} else {
		b = append(b, "zone/"...)
	}
	b = append(b, kindInfo[s.kind].name...)
	parts := s.kind.keyParts()
	if parts == nil {
		return string(append(append(b, '/'), s.name...))
	}
	shift := uint(64)
	for _, width := range parts {
		shift -= width
		b = strconv.AppendUint(append(b, '/'), s.id>>shift&(1<<width-1), 10)
	}
	return string(b)
}

// parseKey reads a key under fed/ or zone/.
func parseKey(key string) (slot, error) {
	zone, rest, _ := strings.Cut(key, "/")
	name, rest, ok := strings.Cut(rest, "/")
	kind, known := kindByName(name)
	if !known {
		return slot{}, fmt.Errorf("key %q: kind %q is not known to this program: %w", key, name, ErrNewerData)
	}
	if prefix := map[bool]string{true: "fed", false: "zone"}[kindInfo[kind].shared]; !ok || zone != prefix {
		return slot{}, fmt.Errorf("key %q: expected %s/%s/<id>", key, prefix, name)
	}
	s := slot{kind: kind}
	parts := kind.keyParts()
	if parts == nil {
		s.name = rest
		return s, nil
	}
	for i, width := range parts {
		text, more, ok := strings.Cut(rest, "/")
		n, err := strconv.ParseUint(text, 10, int(width))
		if err != nil || ok != (i < len(parts)-1) {
			return slot{}, fmt.Errorf("key %q: expected %d numbers behind the kind", key, len(parts))
		}
		if width == 64 {
			s.id = n
		} else {
			s.id = s.id<<width | n
		}
		rest = more
	}
	return s, nil
}

func kindByName(name string) (Kind, bool) {
	for k := range kindInfo {
		if kindInfo[k].name == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// slotOf returns the slot of a change.
func slotOf(c *Change) slot { return slot{c.Kind, c.ID, c.Name} }
