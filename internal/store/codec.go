package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// A stored value is its kind, a colon, its version, a blank, and a body that is
// JSON for nearly all kinds:
//
//	host:1 {"ID":3,"Name":"alpha",…}
//
// The version of a kind is one more than the number of its migrations.

// codec knows one kind of stored value.
type codec struct {
	upgrades []upgrade // upgrades[i] turns a body of version i+1 into i+2
	typ      reflect.Type
	decode   func(id uint64, body []byte) (any, error)
	slot     func(v any) slot // where the value says it belongs
	put      func(tx *Tx, v any)
	del      func(tx *Tx, s slot)
	get      func(st *State, s slot) any // nil if absent
}

// upgrade is one migration of a kind, from the body of one version to the next.
type upgrade func(body []byte) ([]byte, error)

func (c *codec) version() int { return len(c.upgrades) + 1 }

// codecs holds the codec of each kind.
type codecs [numStored]codec

// newCodecs returns the codecs of this program. To change the form of a kind,
// append an upgrade to it; those of released versions never change.
func newCodecs() *codecs {
	return &codecs{
		KindUser: jsonCodec(KindUser, func(s *State) *Table[int, *one.User] { return &s.Users },
			func(v *one.User) int { return v.ID }, (*Tx).PutUser, (*Tx).DeleteUser),
		KindGroup: jsonCodec(KindGroup, func(s *State) *Table[int, *one.Group] { return &s.Groups },
			func(v *one.Group) int { return v.ID }, (*Tx).PutGroup, (*Tx).DeleteGroup),
		KindACL: jsonCodec(KindACL, func(s *State) *Table[int, *one.ACLRule] { return &s.ACLs },
			func(v *one.ACLRule) int { return v.ID }, (*Tx).PutACL, (*Tx).DeleteACL),
		KindVDC: jsonCodec(KindVDC, func(s *State) *Table[int, *one.VDC] { return &s.VDCs },
			func(v *one.VDC) int { return v.ID }, (*Tx).PutVDC, (*Tx).DeleteVDC),
		KindZone: jsonCodec(KindZone, func(s *State) *Table[int, *one.Zone] { return &s.Zones },
			func(v *one.Zone) int { return v.ID }, (*Tx).PutZone, (*Tx).DeleteZone),
		KindHost: jsonCodec(KindHost, func(s *State) *Table[int, *one.Host] { return &s.Hosts },
			func(v *one.Host) int { return v.ID }, (*Tx).PutHost, (*Tx).DeleteHost),
		KindCluster: jsonCodec(KindCluster, func(s *State) *Table[int, *one.Cluster] { return &s.Clusters },
			func(v *one.Cluster) int { return v.ID }, (*Tx).PutCluster, (*Tx).DeleteCluster),
		KindDatastore: jsonCodec(KindDatastore, func(s *State) *Table[int, *one.Datastore] { return &s.Datastores },
			func(v *one.Datastore) int { return v.ID }, (*Tx).PutDatastore, (*Tx).DeleteDatastore),
		KindImage: jsonCodec(KindImage, func(s *State) *Table[int, *one.Image] { return &s.Images },
			func(v *one.Image) int { return v.ID }, (*Tx).PutImage, (*Tx).DeleteImage),
		KindVNet: jsonCodec(KindVNet, func(s *State) *Table[int, *one.VNet] { return &s.VNets },
			func(v *one.VNet) int { return v.ID }, (*Tx).PutVNet, (*Tx).DeleteVNet),
		KindLease: jsonCodec(KindLease, func(s *State) *Table[one.LeaseKey, *one.Lease] { return &s.Leases },
			func(v *one.Lease) one.LeaseKey { return v.Key() }, (*Tx).PutLease, (*Tx).DeleteLease),
		KindSecGroup: jsonCodec(KindSecGroup, func(s *State) *Table[int, *one.SecurityGroup] { return &s.SecGroups },
			func(v *one.SecurityGroup) int { return v.ID }, (*Tx).PutSecGroup, (*Tx).DeleteSecGroup),
		KindTemplate: jsonCodec(KindTemplate, func(s *State) *Table[int, *one.VMTemplate] { return &s.Templates },
			func(v *one.VMTemplate) int { return v.ID }, (*Tx).PutTemplate, (*Tx).DeleteTemplate),
		KindSchedule: jsonCodec(KindSchedule, func(s *State) *Table[int, *one.Schedule] { return &s.Schedules },
			func(v *one.Schedule) int { return v.VM }, (*Tx).PutSchedule, (*Tx).DeleteSchedule),
		KindVNTemplate: jsonCodec(KindVNTemplate, func(s *State) *Table[int, *one.VNTemplate] { return &s.VNTemplates },
			func(v *one.VNTemplate) int { return v.ID }, (*Tx).PutVNTemplate, (*Tx).DeleteVNTemplate),
		KindVRouter: jsonCodec(KindVRouter, func(s *State) *Table[int, *one.VRouter] { return &s.VRouters },
			func(v *one.VRouter) int { return v.ID }, (*Tx).PutVRouter, (*Tx).DeleteVRouter),
		KindDocument: jsonCodec(KindDocument, func(s *State) *Table[int, *one.Document] { return &s.Documents },
			func(v *one.Document) int { return v.ID }, (*Tx).PutDocument, (*Tx).DeleteDocument),
		KindService: serviceCodec(),
		KindServiceLog: jsonCodec(KindServiceLog, func(s *State) *Table[uint64, *one.ServiceLog] { return &s.ServiceLogs },
			func(v *one.ServiceLog) uint64 { return ServiceLogKey(v.Service, v.Seq) }, (*Tx).PutServiceLog, func(tx *Tx, k uint64) { tx.DeleteServiceLog(int(k>>32), int(uint32(k))) }),
		KindAgent: jsonCodec(KindAgent, func(s *State) *Table[int, *Agent] { return &s.Agents },
			func(v *Agent) int { return v.HostID }, (*Tx).PutAgent, (*Tx).DeleteAgent),
		KindOutbox: jsonCodec(KindOutbox, func(s *State) *Table[uint64, *OutboxRecord] { return &s.Outbox },
			func(v *OutboxRecord) uint64 { return v.Seq }, (*Tx).putOutbox, (*Tx).DeleteOutbox),
		KindJoinToken: jsonCodec(KindJoinToken, func(s *State) *Table[string, *JoinToken] { return &s.JoinTokens },
			func(v *JoinToken) string { return v.Hash }, (*Tx).PutJoinToken, (*Tx).DeleteJoinToken),
		KindRequest: jsonCodec(KindRequest, func(s *State) *Table[string, *Request] { return &s.Requests },
			func(v *Request) string { return v.ID }, (*Tx).PutRequest, (*Tx).DeleteRequest),
		KindCounter:   counterCodec(),
		KindSetting:   settingCodec(),
		KindQuotas:    quotasCodec(),
		KindVM:        {typ: reflect.TypeFor[one.VMCore](), decode: decodeAs[one.VMCore]},
		kindVMUser:    {decode: decodeTemplate},
		kindVMHistory: {typ: reflect.TypeFor[one.History](), decode: decodeAs[one.History]},
	}
}

// jsonCodec makes the codec of a kind whose values are pointers to structs that
// name their own key.
func jsonCodec[K cmp.Ordered, V any](kind Kind, table func(*State) *Table[K, *V], key func(*V) K, put func(*Tx, *V), del func(*Tx, K)) codec {
	return codec{
		typ:    reflect.TypeFor[V](),
		decode: decodeAs[V],
		slot:   func(v any) slot { return slotFor(kind, key(v.(*V))) },
		put:    func(tx *Tx, v any) { put(tx, v.(*V)) },
		del:    func(tx *Tx, s slot) { del(tx, keyOf[K](s)) },
		get: func(st *State, s slot) any {
			if v, ok := table(st).Get(keyOf[K](s)); ok {
				return v
			}
			return nil
		},
	}
}

// serviceCodec: a service's body does not repeat its id.
func serviceCodec() codec {
	c := jsonCodec(KindService, func(s *State) *Table[int, *one.Service] { return &s.Services },
		func(v *one.Service) int { return v.ID }, (*Tx).PutService, (*Tx).DeleteService)
	c.decode = func(id uint64, body []byte) (any, error) {
		v, err := decodeAs[one.Service](id, body)
		if svc, ok := v.(*one.Service); ok {
			svc.ID = int(id)
			if string(svc.Spec) == "null" { // how no JSON at all is written
				svc.Spec = nil
			}
		}
		return v, err
	}
	return c
}

// named is a value with the key it is stored under, for kinds whose values do
// not hold their own key.
type named struct {
	name  string
	value any
}

// counterCodec: the body is the number.
func counterCodec() codec {
	return codec{
		decode: func(_ uint64, body []byte) (any, error) { return strconv.Atoi(string(body)) },
		put: func(tx *Tx, v any) {
			n := v.(named)
			put(tx, &tx.State.Counters, KindCounter, n.name, n.value.(int))
		},
		del: func(tx *Tx, s slot) { del(tx, &tx.State.Counters, KindCounter, s.name) },
		get: func(st *State, s slot) any {
			if v, ok := st.Counters.Get(s.name); ok {
				return v
			}
			return nil
		},
	}
}

// settingCodec: the body is the setting, whatever its bytes.
func settingCodec() codec {
	return codec{
		decode: func(_ uint64, body []byte) (any, error) { return bytes.Clone(body), nil },
		put:    func(tx *Tx, v any) { tx.PutSetting(v.(named).name, v.(named).value.([]byte)) },
		del:    func(tx *Tx, s slot) { tx.DeleteSetting(s.name) },
		get: func(st *State, s slot) any {
			if v, ok := st.Settings.Get(s.name); ok {
				return v
			}
			return nil
		},
	}
}

func quotasCodec() codec {
	return codec{
		typ:    reflect.TypeFor[one.Quotas](),
		decode: decodeAs[one.Quotas],
		put:    func(tx *Tx, v any) { tx.PutQuotas(v.(named).name, v.(named).value.(*one.Quotas)) },
		del:    func(tx *Tx, s slot) { tx.DeleteQuotas(s.name) },
		get: func(st *State, s slot) any {
			if v, ok := st.Quotas.Get(s.name); ok {
				return v
			}
			return nil
		},
	}
}

func slotFor[K cmp.Ordered](kind Kind, k K) slot {
	c := change(kind, k)
	return slotOf(&c)
}

// keyOf is the inverse of slotFor.
func keyOf[K cmp.Ordered](s slot) K {
	var k K
	switch p := any(&k).(type) {
	case *int:
		*p = int(s.id)
	case *uint64:
		*p = s.id
	case *one.LeaseKey:
		*p = one.LeaseKey(s.id)
	case *string:
		*p = s.name
	}
	return k
}

// errUnknownField makes the slow path look for fields of newer programs.
var errUnknownField = errors.New("unknown field")

// decodeAs reads a body that is the JSON of a V and returns a *V. It returns the
// value together with errUnknownField when there are fields that V has not.
func decodeAs[V any](_ uint64, body []byte) (any, error) {
	v := new(V)
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(v); err == nil {
		if _, err := strict.Token(); err != io.EOF {
			return nil, errors.New("there is more behind the value")
		}
		return v, nil
	}
	v = new(V)
	if err := json.Unmarshal(body, v); err != nil {
		return nil, err
	}
	return v, errUnknownField
}

func decodeTemplate(_ uint64, body []byte) (any, error) {
	t := new(tmpl.Template)
	if err := t.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	return t, nil
}

// decoded is a stored value that was read, or the news that it is gone.
type decoded struct {
	slot    slot
	value   any // nil: deleted
	unknown *unknown
	stale   bool // in the form of an older version
}

// decode reads one key and its value; an empty value stands for a deletion.
func (cs *codecs) decode(key string, val []byte) (decoded, error) {
	s, err := parseKey(key)
	if err != nil {
		return decoded{}, err
	}
	d := decoded{slot: s}
	if len(val) == 0 {
		return d, nil
	}
	c := &cs[s.kind]
	body, version, err := splitValue(kindInfo[s.kind].name, val)
	if err != nil {
		return decoded{}, fmt.Errorf("value of %q: %w", key, err)
	}
	if version > c.version() {
		return decoded{}, fmt.Errorf("value of %q has version %d, this program knows %d: %w", key, version, c.version(), ErrNewerData)
	}
	for v := version; v < c.version(); v++ {
		if body, err = c.upgrades[v-1](body); err != nil {
			return decoded{}, fmt.Errorf("migrate %q from version %d: %w", key, v, err)
		}
		d.stale = true
	}
	d.value, err = c.decode(s.id, body)
	if errors.Is(err, errUnknownField) {
		var canonical []byte
		if canonical, err = json.Marshal(d.value); err == nil {
			d.unknown = findUnknown(body, canonical, c.typ)
		}
	}
	if err != nil {
		return decoded{}, fmt.Errorf("value of %q: %w", key, err)
	}
	if c.slot == nil {
		if s.kind.keyParts() == nil {
			d.value = named{s.name, d.value}
		}
	} else if at := c.slot(d.value); at != s {
		return decoded{}, fmt.Errorf("value of %q belongs to %q", key, at.key())
	}
	return d, nil
}

// splitValue takes the head off a value.
func splitValue(kind string, val []byte) (body []byte, version int, err error) {
	head, body, ok := bytes.Cut(val, []byte{' '})
	name, num, ok2 := bytes.Cut(head, []byte{':'})
	if !ok || !ok2 || string(name) != kind {
		return nil, 0, fmt.Errorf("expected to begin with %q and a version", kind+":")
	}
	version, err = strconv.Atoi(string(num))
	if err != nil || version < 1 {
		return nil, 0, fmt.Errorf("version %q is not a positive number", num)
	}
	return body, version, nil
}

// encoder turns values into their stored form; it is used by one goroutine.
type encoder struct {
	codecs *codecs
	buf    bytes.Buffer
	json   *json.Encoder
}

func newEncoder(cs *codecs) *encoder {
	e := &encoder{codecs: cs}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false)
	return e
}

// value returns the stored form of a value of a kind, with the fields of newer
// programs that came with it.
func (e *encoder) value(kind Kind, v any, more *unknown) (string, error) {
	e.buf.Reset()
	e.buf.WriteString(kindInfo[kind].name)
	e.buf.WriteByte(':')
	e.buf.WriteString(strconv.Itoa(e.codecs[kind].version()))
	e.buf.WriteByte(' ')
	head := e.buf.Len()
	switch v := v.(type) {
	case int:
		e.buf.Write(strconv.AppendInt(e.buf.AvailableBuffer(), int64(v), 10))
	case []byte:
		e.buf.Write(v)
	case *tmpl.Template:
		e.buf.Write(v.AppendStored(e.buf.AvailableBuffer()))
	default:
		if err := e.json.Encode(v); err != nil {
			return "", fmt.Errorf("encode %s: %w", kind, err)
		}
		e.buf.Truncate(e.buf.Len() - 1) // Encode ends the line
	}
	if more != nil {
		body, err := more.merge(e.buf.Bytes()[head:])
		if err != nil {
			return "", fmt.Errorf("encode %s: %w", kind, err)
		}
		e.buf.Truncate(head)
		e.buf.Write(body)
	}
	return e.buf.String(), nil
}
