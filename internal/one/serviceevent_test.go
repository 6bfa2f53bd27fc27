package one

import "testing"

func TestServiceEventText(t *testing.T) {
	for _, c := range []struct {
		e    ServiceEvent
		want string
	}{
		{ServiceEvent{Type: EventState, Was: "RUNNING", State: "SCALING"}, "RUNNING → SCALING"},
		{ServiceEvent{Type: EventState, Was: "RUNNING", State: "UNDEPLOYING", By: "ana"}, "RUNNING → UNDEPLOYING, by ana"},
		{ServiceEvent{Type: EventState, Was: "SCALING", State: "COOLDOWN", Role: "web", Cooldown: 60}, "SCALING → COOLDOWN for 60 s after scaling web"},
		{ServiceEvent{Type: EventState, Was: "SCALING", State: "COOLDOWN", Role: "web"}, "SCALING → COOLDOWN"},
		{ServiceEvent{Type: EventRoles, Roles: []string{"db"}, State: "RUNNING"}, "db is RUNNING"},
		{ServiceEvent{Type: EventRoles, Roles: []string{"db", "web"}, State: "WARNING"}, "db, web are WARNING"},
		{
			ServiceEvent{Type: EventScaling, Role: "worker", From: 1, To: 2, Cause: CausePolicy, Evaluated: "LOAD[87.5] > 80 & CPU[--] < 5", Evals: 3, Period: 10},
			"scaled worker 1→2: LOAD 87.5 > 80 & CPU -- < 5 for 3×10 s",
		},
		{ServiceEvent{Type: EventScaling, Role: "worker", From: 3, To: 2, Cause: CausePolicy, Evaluated: "LOAD[1] < 2", Period: 0.5}, "scaled worker 3→2: LOAD 1 < 2"},
		{ServiceEvent{Type: EventScaling, Role: "worker", To: 6, Cause: CauseSchedule, Rule: "0 9 * * mon-fri"}, "scaled worker 0→6: it is time: 0 9 * * mon-fri"},
		{ServiceEvent{Type: EventScaling, Role: "worker", From: 1, To: 2, Cause: CauseMinimum}, "scaled worker 1→2: below min_vms"},
		{ServiceEvent{Type: EventScaling, Role: "worker", From: 2, To: 1, Cause: CauseGone}, "scaled worker 2→1: VMs went away"},
		{ServiceEvent{Type: EventScaling, Role: "worker", From: 2, To: 4, Cause: CauseUser, By: "ana"}, "scaled worker 2→4: asked for, by ana"},
		{ServiceEvent{Type: EventVMsMade, Role: "web", VMs: []int{7}, Count: 1}, "VM 7 of web created"},
		{ServiceEvent{Type: EventVMsEnding, Role: "web", VMs: []int{7, 8}, Count: 2}, "VMs 7, 8 of web told to end"},
		{ServiceEvent{Type: EventVMsGone, Role: "web", VMs: []int{7}, Count: 3}, "3 VMs of web gone"},
		{ServiceEvent{Type: EventGone}, "gone"},
		{ServiceEvent{Type: EventVM, Role: "web", Count: 1, VMs: []int{21}, Was: "BOOT", State: "RUNNING"}, "VM 21 of web is RUNNING"},
		{ServiceEvent{Type: EventFailed, Role: "web"}, ""},
	} {
		if got := c.e.Text(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
}
