package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// Host runs VMs; those on it and the capacity they take are indexes.
// Source: XML-RPC reference §8.3, resources reference §7.1.
type Host struct {
	ID           int
	Name         string
	State        HostState
	IMMad, VMMad string
	ClusterID    int
	// TotalCPU (hundredths of a core) and TotalMem (KB) are what the agent saw.
	TotalCPU, TotalMem int64
	// MaxCPU and MaxMem are the totals less what is reserved.
	MaxCPU, MaxMem int64
	Template       *tmpl.Template
}

// HostState is STATE of a host.
type HostState int

// Host states. Source: resources reference §7.1.
const (
	HostInit      HostState = 0
	HostMonitored HostState = 2
	HostError     HostState = 3
	HostDisabled  HostState = 4
	HostOffline   HostState = 8
)

var hostStateNames = map[HostState][2]string{
	HostInit: {"INIT", "init"}, 1: {"MONITORING_MONITORED", "update"}, HostMonitored: {"MONITORED", "on"},
	HostError: {"ERROR", "err"}, HostDisabled: {"DISABLED", "dsbl"}, 5: {"MONITORING_ERROR", "retry"},
	6: {"MONITORING_INIT", "init"}, 7: {"MONITORING_DISABLED", "dsbl"}, HostOffline: {"OFFLINE", "off"},
}

// String returns the name of the state.
func (s HostState) String() string { return hostStateNames[s][0] }

// Short returns the word listings show.
func (s HostState) Short() string { return hostStateNames[s][1] }
