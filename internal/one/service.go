package one

import "encoding/json"

// Service is what a OneFlow service should be: the typed content of a document
// of type DocService, kept beside the document's header and keyed by its id.
// What is, the VMs, is the index of VMs by service and role.
// Source: OneFlow reference §1.6 and §2.
type Service struct {
	ID int `json:"-"`
	// Spec is the service template after merging, as the client gave it, without
	// the run-time keys; roles inside it are joined with Roles when rendered.
	Spec      json.RawMessage `json:"spec"`
	State     ServiceState    `json:"state"`
	StartTime int64           `json:"start_time"` // epoch seconds
	// Roles holds the run-time side of the roles, in the order of Spec.
	Roles       []Role `json:"roles"`
	ScalingRole string `json:"scaling_role,omitempty"`
	// Routers are the virtual routers of the roles of type vr, by role.
	Routers map[string]int `json:"routers,omitempty"`
	// Networks are those that it made for itself, and that go with it.
	Networks []int `json:"networks,omitempty"`
	// CooldownEnds is when COOLDOWN is over, epoch milliseconds, 0 outside it.
	CooldownEnds int64 `json:"cooldown_ends,omitempty"`
	// Cooldown is the length of the next COOLDOWN, milliseconds, fixed when scaling starts.
	Cooldown int64 `json:"cooldown,omitempty"`
	// Since is when State was entered, epoch milliseconds.
	Since  int64 `json:"since"`
	LogSeq int   `json:"log_seq"`
	// Emptied tells that the last VM went away by itself, for automatic deletion.
	Emptied bool `json:"emptied,omitempty"`
	// Chowning tells that not every VM has got the document's owner yet.
	Chowning bool `json:"chowning,omitempty"`
	// Actions are those that still have to be scheduled on VMs.
	Actions []ServiceAction `json:"actions,omitempty"`
}

// Role is the run-time side of one role of a service.
type Role struct {
	Name        string    `json:"name"`
	State       RoleState `json:"state"`
	Since       int64     `json:"since,omitempty"` // when State was entered, epoch milliseconds
	Cardinality int       `json:"cardinality"`
	LastVM      int       `json:"last_vmname"` // counter of names, never reused
	// Made is how many VMs the role has as far as the service knows. It changes in
	// the transaction that creates them, so that fewer VMs mean that some went away.
	Made int `json:"made,omitempty"`
	// Leaving lists the VMs that were told to end by scaling or undeploy, by id.
	Leaving []int `json:"leaving,omitempty"`
	// Retry lists the VMs that a recovery still has to set going again.
	Retry []int `json:"retry,omitempty"`
	// NewAfter is the VM id above which VMs are new in the scaling that goes on.
	NewAfter int `json:"new_after,omitempty"`
	// Released tells that a role which was to be deployed on hold no longer is.
	Released bool `json:"released,omitempty"`
	// Removing tells that the role goes away when its VMs have.
	Removing bool `json:"removing,omitempty"`
	// Policies holds the counters of the elasticity policies that change decisions.
	Policies []PolicyState `json:"policies,omitempty"`
	// Sched holds the time each scheduled policy was last looked at, epoch seconds.
	Sched []int64 `json:"sched,omitempty"`
	// ScaleWay is 0 up, 1 down while the role scales.
	ScaleWay int `json:"scale_way,omitempty"`
}

// PolicyState is what an elasticity policy remembers.
type PolicyState struct {
	TrueEvals int `json:"true_evals"`
	// LastEval is when TrueEvals was written, epoch milliseconds.
	LastEval int64 `json:"last_eval,omitempty"`
}

// ServiceAction is an action that is to be scheduled on VMs of a service: on Number
// of them at Time, on as many Period seconds later, and so on; on all of them at
// Time if Period or Number is 0. Source: OneFlow reference §5.
type ServiceAction struct {
	Action string `json:"action"`
	Args   string `json:"args,omitempty"`
	UID    int    `json:"uid"` // who asked
	Period int64  `json:"period"`
	Number int    `json:"number"`
	Time   int64  `json:"time"` // epoch seconds
	Done   int    `json:"done"` // on how many VMs it was scheduled
	VMs    []int  `json:"vms"`  // those left
}

// Next returns when the next of the VMs is due.
func (a *ServiceAction) Next() int64 {
	if a.Period <= 0 || a.Number <= 0 {
		return a.Time
	}
	return a.Time + int64(a.Done/a.Number)*a.Period
}

// ServiceLog is one entry of a service's log.
type ServiceLog struct {
	Service, Seq int
	Time         int64 // epoch seconds
	Severity     string
	// Message is the original's; "" of an event that its log does not have.
	Message string
	Event   *ServiceEvent `json:",omitempty"`
}

// ServiceState is the state of a service.
type ServiceState int

// Service states. Source: OneFlow reference §3.1.
const (
	ServicePending ServiceState = iota
	ServiceDeploying
	ServiceRunning
	ServiceUndeploying
	ServiceWarning
	ServiceDone
	ServiceFailedUndeploying
	ServiceFailedDeploying
	ServiceScaling
	ServiceFailedScaling
	ServiceCooldown
	ServiceDeployingNets
	ServiceUndeployingNets
	ServiceFailedDeployingNets
	ServiceFailedUndeployingNets
	ServiceHold
)

var serviceStateNames = [...]string{
	"PENDING", "DEPLOYING", "RUNNING", "UNDEPLOYING", "WARNING", "DONE", "FAILED_UNDEPLOYING", "FAILED_DEPLOYING",
	"SCALING", "FAILED_SCALING", "COOLDOWN", "DEPLOYING_NETS", "UNDEPLOYING_NETS", "FAILED_DEPLOYING_NETS",
	"FAILED_UNDEPLOYING_NETS", "HOLD",
}

// String returns the name of the state.
func (s ServiceState) String() string {
	if s < 0 || int(s) >= len(serviceStateNames) {
		return ""
	}
	return serviceStateNames[s]
}

// RoleState is the state of a role: the numbers of services up to COOLDOWN,
// then HOLD.
type RoleState int

// Role states. Source: OneFlow reference §3.1.
const (
	RolePending RoleState = iota
	RoleDeploying
	RoleRunning
	RoleUndeploying
	RoleWarning
	RoleDone
	RoleFailedUndeploying
	RoleFailedDeploying
	RoleScaling
	RoleFailedScaling
	RoleCooldown
	RoleHold
)

// String returns the name of the state.
func (s RoleState) String() string {
	if s == RoleHold {
		return "HOLD"
	}
	if s < 0 || s > RoleCooldown {
		return ""
	}
	return serviceStateNames[s]
}
