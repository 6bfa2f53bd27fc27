package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// fill gives every exported field of a value some content of its own.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, 0, 0, byte(*n)})
		return
	case **tmpl.Template:
		*x = tmpl.New(tmpl.Single("N", fmt.Sprint(*n)), tmpl.Vec("DISK", "IMAGE_ID", "3", "SIZE", "<\u2028&>"))
		return
	case *json.RawMessage:
		*x = json.RawMessage(fmt.Sprintf(`{"n":%d}`, *n))
		return
	case *[]byte:
		*x = []byte{0, 255, byte(*n)}
		return
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n) % 200)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 4)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d<&>é", *n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k, n)
		fill(e, n)
		v.SetMapIndex(k, e)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

func filled[V any]() *V {
	v := new(V)
	n := 0
	fill(reflect.ValueOf(v).Elem(), &n)
	return v
}

// putEverything puts one filled value of every kind.
func putEverything(tx *Tx) error {
	tx.PutUser(filled[one.User]())
	tx.PutGroup(filled[one.Group]())
	tx.PutACL(filled[one.ACLRule]())
	tx.PutVDC(filled[one.VDC]())
	tx.PutZone(filled[one.Zone]())
	tx.PutHost(filled[one.Host]())
	tx.PutCluster(filled[one.Cluster]())
	tx.PutDatastore(filled[one.Datastore]())
	tx.PutImage(filled[one.Image]())
	tx.PutVNet(filled[one.VNet]())
	tx.PutLease(filled[one.Lease]())
	tx.PutSecGroup(filled[one.SecurityGroup]())
	tx.PutTemplate(filled[one.VMTemplate]())
	tx.PutVNTemplate(filled[one.VNTemplate]())
	vm := filled[one.VM]()
	vm.State = one.VMActive
	tx.PutVM(vm)
	done := filled[one.VM]()
	done.ID, done.State = 1000, one.VMDone
	tx.PutVM(done)
	schedule := filled[one.Schedule]()
	schedule.Actions[1].Done = -1 // it is due
	tx.PutSchedule(schedule)
	tx.PutVRouter(filled[one.VRouter]())
	tx.PutDocument(filled[one.Document]())
	tx.PutService(filled[one.Service]())
	tx.PutServiceLog(filled[one.ServiceLog]())
	tx.PutAgent(filled[Agent]())
	tx.PutJoinToken(filled[JoinToken]())
	tx.PutSetting("any bytes", []byte("\x00\xff not JSON"))
	tx.PutQuotas("user", filled[one.Quotas]())
	request := filled[Request]()
	request.Time = time.Now().Unix() // or else it is swept
	tx.PutRequest(request)
	tx.NextID("vm", 0)
	tx.Emit("topic", 3, 4, "text\nof two lines")
	return nil
}

func memoryStore(t testing.TB, m *Memory, name string) *Store {
	t.Helper()
	s, err := Open(testContext(t), Config{Memory: m, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Every kind survives being stored and read back, by restart and by watch.
func TestRoundTrip(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	leader := memoryStore(t, m, "a")
	follower := memoryStore(t, m, "b")
	feed := follower.Subscribe(follower.View())
	kinds := map[Kind]bool{}
	mine := leader.Subscribe(leader.View())
	if err := leader.Update(ctx, putEverything); err != nil {
		t.Fatal(err)
	}
	want := leader.View()
	for _, f := range []*Feed{mine, feed} {
		c, err := f.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, "feed", c.State, want)
		for _, ch := range c.Changes {
			if ch.Old != nil || ch.New == nil {
				t.Errorf("change of %s: got old %v, new %v; expected a creation", ch.Kind, ch.Old, ch.New)
			}
			kinds[ch.Kind] = true
		}
	}
	for k := range numKinds {
		if !kinds[k] {
			t.Errorf("kind %s is not part of this test", k)
		}
	}
	reopened := memoryStore(t, m, "c")
	sameState(t, "reopened", reopened.View(), want)

	// Gone again: nothing is left of any of them.
	err := leader.Update(ctx, func(tx *Tx) error {
		for _, key := range storedKeys(m) {
			s, err := parseKey(key)
			if err != nil {
				return err
			}
			switch s.kind {
			case KindVM:
				tx.DeleteVM(int(s.id))
			case kindVMUser, kindVMHistory:
			default:
				leader.codecs[s.kind].del(tx, s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := storedKeys(m); len(left) > 0 {
		t.Errorf("left after everything was deleted: %q", left)
	}
	st, err := follower.WaitRevision(ctx, leader.View().Revision)
	if err != nil {
		t.Fatal(err)
	}
	sameState(t, "emptied leader", leader.View(), &State{})
	sameState(t, "emptied follower", st, &State{})
}

// storedKeys lists the keys of the state in a log.
func storedKeys(m *Memory) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for k := range m.data {
		if isState(k) {
			out = append(out, k)
		}
	}
	return out
}

// A transaction writes only the parts of a VM that it changed.
func TestVMParts(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	s := memoryStore(t, m, "a")
	follower := memoryStore(t, m, "b")
	user := func(v string) *tmpl.Template { return tmpl.New(tmpl.Single("LOAD", v)) }
	vm := &one.VM{VMCore: one.VMCore{Meta: one.Meta{ID: 7, Name: "seven"}, State: one.VMPending, ServiceID: -1, VRouterID: -1,
		Template: tmpl.New(tmpl.Single("CPU", "1"))}}
	get := func() *one.VM { v, _ := s.View().VM(7); return v }
	steps := []struct {
		what string
		do   func() *one.VM // nil deletes
		keys string
	}{
		{"create", func() *one.VM { return vm }, "zone/vm/7"},
		{"same again", get, ""},
		{"equal template", func() *one.VM {
			c := *get()
			c.Template = tmpl.New(tmpl.Single("CPU", "1"))
			return &c
		}, ""},
		{"user template", func() *one.VM { return get().WithUserTemplate(user("1")) }, "zone/vmuser/7"},
		{"equal user template", func() *one.VM { return get().WithUserTemplate(user("1")) }, ""},
		{"user template again", func() *one.VM { return get().WithUserTemplate(user("2")) }, "zone/vmuser/7"},
		{"first record", func() *one.VM { return get().WithNewRecord(one.History{HID: 3}) }, "zone/vmhistory/7/0"},
		{"second record", func() *one.VM { return get().WithNewRecord(one.History{HID: 4}) }, "zone/vmhistory/7/1"},
		{"close record", func() *one.VM { return get().WithLastRecord(func(h *one.History) { h.ETime = 9 }) }, "zone/vmhistory/7/1"},
		{"state", func() *one.VM { return get().WithState(one.VMActive, one.LCMRunning, 5) }, "zone/vm/7"},
		{"state and record", func() *one.VM {
			return get().WithState(one.VMPoweroff, 0, 6).WithLastRecord(func(h *one.History) { h.RETime = 9 })
		}, "zone/vm/7 zone/vmhistory/7/1"},
		{"no user template", func() *one.VM { return get().WithUserTemplate(nil) }, "-zone/vmuser/7"},
		{"history cut", func() *one.VM {
			c := *get()
			c.History = c.History[:1]
			return &c
		}, "-zone/vmhistory/7/1"},
		{"done", func() *one.VM { return get().WithState(one.VMDone, 0, 7) }, "zone/vm/7"},
		{"delete", func() *one.VM { return nil }, "-zone/vm/7 -zone/vmhistory/7/0"},
	}
	for _, step := range steps {
		before := s.View().Revision
		err := s.Update(ctx, func(tx *Tx) error {
			if v := step.do(); v != nil {
				tx.PutVM(v)
			} else {
				tx.DeleteVM(7)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		var keys []string
		m.mu.Lock()
		for _, u := range m.history {
			for _, o := range u.ops {
				if u.rev > before && o.val == "" {
					keys = append(keys, "-"+o.key)
				} else if u.rev > before {
					keys = append(keys, o.key)
				}
			}
		}
		m.mu.Unlock()
		if got := strings.Join(keys, " "); got != step.keys {
			t.Errorf("%s: wrote %q, expected %q", step.what, got, step.keys)
		}
		st, err := follower.WaitRevision(ctx, s.View().Revision)
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, step.what, st, s.View())
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]slot{
		"fed/user/0":                        {kind: KindUser},
		"zone/vm/4294967295":                {kind: KindVM, id: 4294967295},
		"zone/lease/3/2/17":                 {kind: KindLease, id: uint64(one.MakeLeaseKey(3, 2, 17))},
		"zone/servicelog/5/6":               {kind: KindServiceLog, id: ServiceLogKey(5, 6)},
		"zone/vmhistory/5/6":                historySlot(5, 6),
		"zone/request/a/b c":                {kind: KindRequest, name: "a/b c"},
		"zone/request/":                     {kind: KindRequest},
		"zone/outbox/18446744073709551615":  {kind: KindOutbox, id: 1<<64 - 1},
		"zone/lease/1048575/4095/429496729": {kind: KindLease, id: uint64(one.MakeLeaseKey(1<<20-1, 1<<12-1, 429496729))},
	} {
		got, err := parseKey(key)
		if err != nil || got != want || got.key() != key {
			t.Errorf("parseKey(%q): got %+v (%q), %v; expected %+v", key, got, got.key(), err, want)
		}
	}
	for _, key := range []string{"", "zone", "zone/", "zone/vm", "zone/vm/", "zone/vm/-1", "zone/vm/1/2", "zone/vm/x", "fed/vm/1",
		"zone/user/1", "zone/lease/1/2", "zone/lease/1048576/0/0", "zone/lease/0/4096/0", "zone/servicelog/1/4294967296", "zone/vm/18446744073709551616"} {
		if s, err := parseKey(key); err == nil {
			t.Errorf("parseKey(%q): got %+v, expected an error", key, s)
		}
	}
	if _, err := parseKey("zone/flyingcar/1"); !errors.Is(err, ErrNewerData) {
		t.Errorf("unknown kind: got %v, expected ErrNewerData", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("zone/vm/7", `vm:1 {"ID":7}`)
	f.Add("zone/vmuser/7", `vmuser:1 ["A","1","B",{"C":"2"}]`)
	f.Add("zone/counter/vm", "counter:1 12")
	f.Add("zone/lease/3/2/17", `lease:1 {"Net":3,"AR":2,"Index":17,"X":{"y":[1]}}`)
	f.Add("fed/quotas/user", `quotas:1 {"Datastores":{"1":{"Images":1,"More":2}}}`)
	f.Add("zone/service/1", `service:1 {"roles":[{"name":"a","new":1}]}`)
	cs := newCodecs()
	f.Fuzz(func(t *testing.T, key, val string) {
		d, err := cs.decode(key, []byte(val))
		if err != nil || d.value == nil {
			return
		}
		if d.slot.key() != key {
			return // a number written in another way
		}
		v := d.value
		if n, ok := v.(named); ok {
			v = n.value
		}
		again, err := newEncoder(cs).value(d.slot.kind, v, d.unknown)
		if err != nil {
			t.Fatalf("encode what %q was decoded to: %v", val, err)
		}
		e, err := cs.decode(key, []byte(again))
		if err != nil {
			t.Fatalf("decode %q, made of %q: %v", again, val, err)
		}
		if diff := cmp.Diff(d, e, stateOptions, cmp.AllowUnexported(decoded{}, slot{}, named{})); diff != "" {
			t.Fatalf("%q became %q (-first +second):\n%s", val, again, diff)
		}
	})
}
