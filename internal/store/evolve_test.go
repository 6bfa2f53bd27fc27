package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

// seed puts raw values into a log, as another program would have.
func seed(t *testing.T, m *Memory, values map[string]string) {
	t.Helper()
	var ops []op
	for k, v := range values {
		ops = append(ops, op{k, v})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.put(m.epochRev, ops); err != nil {
		t.Fatal(err)
	}
}

// stored returns the body of a raw value.
func storedBody(t *testing.T, m *Memory, key string) map[string]any {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	_, body, _ := strings.Cut(m.data[key], " ")
	var out map[string]any
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%s holds %q: %v", key, m.data[key], err)
	}
	return out
}

func words(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }

// Fields that a newer program added, at any depth, come back out when this
// program changes the value, on whichever member.
func TestUnknownFields(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	seed(t, m, map[string]string{
		"zone/service/5": `service:1 {"state":2,"mood":{"a":[1,2]},"roles":[
			{"name":"web","cardinality":2,"tint":"red","policies":[{"true_evals":1,"trend":1.5}]},
			{"name":"db","cardinality":1,"tint":"blue"}]}`,
		"fed/user/2":  `user:1 {"ID":2,"Name":"ann","Quotas":{"Datastores":{"1":{"Images":3,"Inodes":9}},"VM":{"VMs":1,"GPUs":2}}}`,
		"zone/vm/1":   `vm:1 {"ID":1,"Name":"m","Lock":{"Level":1,"Why":"x"},"Zeal":7,"ServiceID":-1,"VRouterID":-1}`,
		"zone/host/0": `host:1 {"ID":0,"Name":"h","Rack":12345678901234567890}`,
	})
	memoryStore(t, m, "a")
	b := memoryStore(t, m, "b")
	m.Elect("b") // it learned the values before it leads
	eventually(t, "b leads", b.Leader)
	err := b.Update(ctx, func(tx *Tx) error {
		svc, _ := tx.Services.Get(5)
		c := *svc
		c.State = one.ServiceWarning
		c.Roles = []one.Role{{Name: "new"}, svc.Roles[1], svc.Roles[0]} // moved
		tx.PutService(&c)
		u, _ := tx.Users.Get(2)
		d := *u
		d.Name = "anna"
		tx.PutUser(&d)
		v, _ := tx.VM(1)
		tx.PutVM(v.WithState(one.VMHold, 0, 1))
		h, _ := tx.Hosts.Get(0)
		e := *h
		e.Name = "i"
		tx.PutHost(&e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	svc := storedBody(t, m, "zone/service/5")
	roles := svc["roles"].([]any)
	got := words(svc["state"], svc["mood"], roles[0].(map[string]any)["tint"], roles[1].(map[string]any)["tint"],
		roles[2].(map[string]any)["tint"], roles[2].(map[string]any)["policies"])
	if want := "4 map[a:[1 2]] <nil> blue red [map[trend:1.5 true_evals:1]]"; got != want {
		t.Errorf("service: got %s, expected %s", got, want)
	}
	user := storedBody(t, m, "fed/user/2")
	got = words(user["Name"], user["Quotas"].(map[string]any)["Datastores"], user["Quotas"].(map[string]any)["VM"].(map[string]any)["GPUs"])
	if want := "anna map[1:map[Images:3 Inodes:9 Size:0]] 2"; got != want {
		t.Errorf("user: got %s, expected %s", got, want)
	}
	vm := storedBody(t, m, "zone/vm/1")
	if got := words(vm["State"], vm["Zeal"], vm["Lock"].(map[string]any)["Why"]); got != "2 7 x" {
		t.Errorf("vm: got %s, expected 2 7 x", got)
	}
	if raw := m.data["zone/host/0"]; !strings.Contains(raw, `"Rack":12345678901234567890`) {
		t.Errorf("host: a large number was not kept: %s", raw)
	}
	// A value that is deleted takes its unknown fields with it.
	for range 2 {
		err = b.Update(ctx, func(tx *Tx) error {
			tx.DeleteHost(0)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err = b.Update(ctx, func(tx *Tx) error {
		tx.PutHost(&one.Host{ID: 0, Name: "again"})
		return nil
	})
	if raw := m.data["zone/host/0"]; err != nil || strings.Contains(raw, "Rack") {
		t.Errorf("a new host has the fields of a deleted one: %s, %v", raw, err)
	}
}

func TestNewerData(t *testing.T) {
	newer := *newCodecs()
	newer[KindHost].upgrades = []upgrade{func(b []byte) ([]byte, error) { return b, nil }}
	future := newer.format()
	future.Format++
	f, err := json.Marshal(future)
	if err != nil {
		t.Fatal(err)
	}
	for what, values := range map[string]map[string]string{
		"kind":    {"zone/flyingcar/1": "flyingcar:1 {}"},
		"version": {"zone/host/1": `host:2 {"ID":1}`},
		"format":  {keyFormat: string(f)},
	} {
		m := NewMemory()
		seed(t, m, values)
		_, err := Open(testContext(t), Config{Memory: m})
		if !errors.Is(err, ErrNewerData) {
			t.Errorf("newer %s: got %v, expected ErrNewerData", what, err)
		}
		if n := len(m.history); n != 1 {
			t.Errorf("newer %s: the store wrote to data it must not touch", what)
		}
	}

	// A newer program's first claim already shuts the older one out.
	m := NewMemory()
	s, err := open(testContext(t), Config{Memory: m}, &newer)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testContext(t), Config{Memory: m}); !errors.Is(err, ErrNewerData) {
		t.Errorf("after a newer program: got %v, expected ErrNewerData", err)
	}

	// A follower of the older program stops when a newer one takes over.
	m = NewMemory()
	old := memoryStore(t, m, "old")
	s, err = open(testContext(t), Config{Memory: m, Name: "new"}, &newer)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m.Elect("new")
	<-old.Done()
	if err := old.Err(); !errors.Is(err, ErrNewerData) {
		t.Errorf("older follower: ended with %v, expected ErrNewerData", err)
	}
	if err := old.Update(testContext(t), func(*Tx) error { return nil }); !errors.Is(err, ErrNewerData) {
		t.Errorf("update of the older follower: got %v, expected ErrNewerData", err)
	}
}

func TestBadData(t *testing.T) {
	for key, val := range map[string]string{
		"zone/host/1":        `host:1 {"ID":2}`,
		"zone/host/2":        `host:1 {"ID":`,
		"zone/host/3":        `vm:1 {"ID":3}`,
		"zone/host/4":        `{"ID":4}`,
		"zone/host/5":        `host:0 {"ID":5}`,
		"zone/host/6":        `host:1 {"ID":6} {}`,
		"zone/host/x":        `host:1 {"ID":7}`,
		"zone/counter/vm":    `counter:1 many`,
		"zone/vmuser/1":      `vmuser:1 []`,
		"zone/vmhistory/1/0": `vmhistory:1 {}`,
		"zone/vm/3":          `vm:1 {"ID":4}`,
	} {
		m := NewMemory()
		seed(t, m, map[string]string{key: val})
		_, err := Open(testContext(t), Config{Memory: m})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %s: got %v, expected an error that names the key", key, val, err)
		}
	}
}

// Values of older versions are read at once and rewritten by and by, also when a
// first attempt at that was cut short.
func TestMigration(t *testing.T) {
	ctx := testContext(t)
	m := NewMemory()
	s := memoryStore(t, m, "a")
	const hosts = 2500
	for from := 0; from < hosts; from += 500 {
		err := s.Update(ctx, func(tx *Tx) error {
			for i := from; i < from+500; i++ {
				tx.PutHost(&one.Host{ID: i, Name: fmt.Sprintf("old-%d", i)})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	newer := *newCodecs()
	newer[KindHost].upgrades = []upgrade{
		func(b []byte) ([]byte, error) { return bytes.Replace(b, []byte("old-"), []byte("middle-"), 1), nil },
		func(b []byte) ([]byte, error) { return bytes.Replace(b, []byte("middle-"), []byte("new-"), 1), nil },
	}
	count := func() (old int) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for k, v := range m.data {
			if strings.HasPrefix(k, "zone/host/") && !strings.HasPrefix(v, "host:3 ") {
				old++
			}
		}
		return old
	}
	m.SetFaults(faultsAfter(3)) // the claim, and two batches
	s, err := open(ctx, Config{Memory: m}, &newer)
	if err != nil {
		t.Fatal(err)
	}
	if h, _ := s.View().Hosts.Get(hosts - 1); h.Name != fmt.Sprintf("new-%d", hosts-1) {
		t.Errorf("read as %q before it was rewritten", h.Name)
	}
	eventually(t, "two batches are rewritten", func() bool { return s.Stats().FailedBatches > 0 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n == 0 || n == hosts {
		t.Fatalf("%d of %d hosts are of an old version after the migration was cut short", n, hosts)
	}
	m.SetFaults(nil)
	s, err = open(ctx, Config{Memory: m}, &newer)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	feed := s.Subscribe(s.View())
	eventually(t, "everything is rewritten", func() bool { return count() == 0 })
	if _, err := s.WaitRevision(ctx, m.rev); err != nil {
		t.Fatal(err)
	}
	if n := s.View().stale.Len(); n > 0 {
		t.Errorf("%d values still count as stale", n)
	}
	err = s.Update(ctx, func(tx *Tx) error { tx.PutSetting("end", nil); return nil })
	if c, e := feed.Next(ctx); err != nil || e != nil || c.Changes[0].Kind != KindSetting {
		t.Errorf("rewriting shows in the feed: %+v, %v, %v", c.Changes, err, e)
	}
}
