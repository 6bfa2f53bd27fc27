package monitor

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

func TestSamplesAreKeptInOrderAndBounded(t *testing.T) {
	m := New()
	for i := range int64(Keep + 7) {
		m.TakeVMs(0, []agentapi.VMSample{{VM: 3, Time: i}})
	}
	got := m.VMSeries(3, 0)
	if len(got) != Keep || got[0].Time != 7 || got[Keep-1].Time != Keep+6 {
		t.Fatalf("%d samples from %d to %d", len(got), got[0].Time, got[len(got)-1].Time)
	}
	if s, ok := m.VM(3); !ok || s.Time != Keep+6 {
		t.Errorf("latest sample: %v %v", s, ok)
	}
	if n := len(m.VMSeries(3, Keep)); n != 7 {
		t.Errorf("%d samples since %d, want 7", n, Keep)
	}
	m.ForgetVM(3)
	if _, ok := m.VM(3); ok || m.VMSeries(3, 0) != nil {
		t.Error("a forgotten VM is still known")
	}
}

func TestDatastoreSpaceIsKnownPerHost(t *testing.T) {
	m := New()
	if _, _, _, ok := m.Datastore(1); ok {
		t.Fatal("an unknown datastore has space")
	}
	m.TakeDatastores(4, []agentapi.DatastoreSpace{{ID: 1, TotalMB: 10, UsedMB: 3, FreeMB: 7}})
	m.TakeDatastores(5, []agentapi.DatastoreSpace{{ID: 1, TotalMB: 20, UsedMB: 5, FreeMB: 15}})
	if _, _, free, ok := m.HostDatastore(4, 1); !ok || free != 7 {
		t.Errorf("host 4 sees %d free", free)
	}
	m.ForgetHost(4)
	if _, _, _, ok := m.HostDatastore(4, 1); ok {
		t.Error("a forgotten host still sees the datastore")
	}
}
