package one

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ServiceEvent is what happened to a service, for programs: the typed side of an
// entry of its log. Which members are set depends on Type.
type ServiceEvent struct {
	Type  string   `json:"type"`            // one of the Event constants
	Role  string   `json:"role,omitempty"`  // of all but EventState and EventRoles
	Roles []string `json:"roles,omitempty"` // of EventRoles
	By    string   `json:"by,omitempty"`    // the user who asked for it; "" when nobody did

	State string `json:"state,omitempty"` // of EventState, EventRoles and EventVM: the new one
	Was   string `json:"was,omitempty"`   // of EventState and EventVM: the one before
	// Cooldown is how long COOLDOWN lasts, seconds; of EventState into it.
	Cooldown float64 `json:"cooldown,omitempty"`

	VMs   []int `json:"vms,omitempty"`   // those that are known by id
	Count int   `json:"count,omitempty"` // of EventVMs…: how many, known or not

	// Of EventScaling: the cardinality before and after, and the cause.
	From  int    `json:"from,omitempty"`
	To    int    `json:"to,omitempty"`
	Cause string `json:"cause,omitempty"` // one of the Cause constants
	// Of a policy: which one of the role's, from 0; what it says; with the values
	// it saw; how often it had to be true, and how many seconds apart.
	Policy    int     `json:"policy,omitempty"`
	Rule      string  `json:"rule,omitempty"`
	Evaluated string  `json:"evaluated,omitempty"`
	Evals     int     `json:"evals,omitempty"`
	Period    float64 `json:"period,omitempty"`
}

// Types of events. Clients store them: they are added to, never renamed.
const (
	EventState     = "state"       // the service entered a state
	EventRoles     = "role_state"  // roles entered a state
	EventScaling   = "scaling"     // a role has another cardinality
	EventVMsMade   = "vms_created" // VMs of a role were created
	EventVMsEnding = "vms_ending"  // VMs of a role were told to end
	EventVMsGone   = "vms_gone"    // VMs of a role are gone
	EventRefused   = "refused"     // the core refused something the service needed
	EventFailed    = "failed"      // a role or the service failed
	EventGone      = "gone"        // the service is gone; never stored
	EventVM        = "vm"          // a VM came to rest in a state, good or bad; never stored
	EventMessage   = "message"     // an entry from before events had types
)

// Causes of a scaling.
const (
	CauseUser     = "user"     // somebody asked for it
	CausePolicy   = "policy"   // an elasticity policy
	CauseSchedule = "schedule" // a scheduled policy
	CauseMinimum  = "min_vms"  // the role was below its lower limit
	CauseGone     = "vms_gone" // VMs went away by themselves
)

// measured is an attribute with its value in an expression that was evaluated.
var measured = regexp.MustCompile(`\[([^\]]*)\]`)

// Reason says in words why a role was scaled: "LOAD 87.5 > 80 for 3×10 s".
func (e *ServiceEvent) Reason() string {
	switch e.Cause {
	case CausePolicy:
		why := measured.ReplaceAllString(e.Evaluated, " $1")
		if e.Evals > 1 {
			why += fmt.Sprintf(" for %d×%s", e.Evals, seconds(e.Period))
		}
		return why
	case CauseSchedule:
		return "it is time: " + e.Rule
	case CauseMinimum:
		return "below min_vms"
	case CauseGone:
		return "VMs went away"
	}
	return "asked for"
}

// Text says in words what happened; "" when only the message of the log does.
func (e *ServiceEvent) Text() string {
	text := ""
	switch e.Type {
	case EventState:
		text = e.Was + " → " + e.State
		if e.Cooldown > 0 {
			text += " for " + seconds(e.Cooldown) + " after scaling " + e.Role
		}
	case EventRoles:
		verb := " is "
		if len(e.Roles) > 1 {
			verb = " are "
		}
		text = strings.Join(e.Roles, ", ") + verb + e.State
	case EventScaling:
		text = fmt.Sprintf("scaled %s %d→%d: %s", e.Role, e.From, e.To, e.Reason())
	case EventVMsMade:
		text = e.vms() + " created"
	case EventVMsEnding:
		text = e.vms() + " told to end"
	case EventVMsGone:
		text = e.vms() + " gone"
	case EventVM:
		text = e.vms() + " is " + e.State
	case EventGone:
		return "gone"
	default:
		return ""
	}
	if e.By != "" {
		text += ", by " + e.By
	}
	return text
}

// vms names the VMs an event is about: "VMs 21, 22 of worker".
func (e *ServiceEvent) vms() string {
	word := "VMs"
	if e.Count == 1 {
		word = "VM"
	}
	if len(e.VMs) < e.Count {
		return fmt.Sprintf("%d %s of %s", e.Count, word, e.Role)
	}
	ids := make([]string, len(e.VMs))
	for i, id := range e.VMs {
		ids[i] = strconv.Itoa(id)
	}
	return word + " " + strings.Join(ids, ", ") + " of " + e.Role
}

func seconds(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + " s" }
