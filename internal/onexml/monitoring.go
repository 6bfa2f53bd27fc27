package onexml

import (
	"iter"

	"github.com/trifid-cloud/trifid/internal/agentapi"
)

func (d *Docs) vmSample(id int) (agentapi.VMSample, bool) {
	if d.Monitor == nil {
		return agentapi.VMSample{}, false
	}
	return d.Monitor.VM(id)
}

func (d *Docs) hostSample(id int) (agentapi.HostSample, bool) {
	if d.Monitor == nil {
		return agentapi.HostSample{}, false
	}
	return d.Monitor.Host(id)
}

// appendVMSample appends a VM's MONITORING: all values in alphabetical order of
// their names, ID and TIMESTAMP among them. Source: monitoring reference §7.
func appendVMSample(dst []byte, s agentapi.VMSample) []byte {
	dst = open(dst, "MONITORING")
	id, stamp := false, false
	for _, a := range s.Data.All() {
		if a.Name == "ID" || a.Name == "TIMESTAMP" {
			continue
		}
		if !id && a.Name > "ID" {
			dst, id = cdataNum(dst, "ID", s.VM), true
		}
		if !stamp && a.Name > "TIMESTAMP" {
			dst, stamp = cdataNum(dst, "TIMESTAMP", s.Time), true
		}
		dst = a.AppendXML(dst)
	}
	if !id {
		dst = cdataNum(dst, "ID", s.VM)
	}
	if !stamp {
		dst = cdataNum(dst, "TIMESTAMP", s.Time)
	}
	return shut(dst, "MONITORING")
}

// appendHostSample appends a host's MONITORING. Source: monitoring reference §7.
func appendHostSample(dst []byte, host int, s agentapi.HostSample) []byte {
	dst = open(dst, "MONITORING")
	dst = num(dst, "TIMESTAMP", s.Time)
	dst = num(dst, "ID", host)
	dst = open(dst, "CAPACITY")
	dst = cdataNum(dst, "FREE_CPU", s.FreeCPU)
	dst = cdataNum(dst, "FREE_MEMORY", s.FreeMemory)
	dst = cdataNum(dst, "USED_CPU", s.UsedCPU)
	dst = cdataNum(dst, "USED_MEMORY", s.UsedMemory)
	dst = shut(dst, "CAPACITY")
	dst = open(dst, "SYSTEM")
	dst = cdataNum(dst, "NETRX", s.NetRX)
	dst = cdataNum(dst, "NETTX", s.NetTX)
	dst = shut(dst, "SYSTEM")
	return shut(dst, "MONITORING")
}

// AppendVMMonitoring appends the answer of one.vm.monitoring and
// one.vmpool.monitoring. Source: monitoring reference §7.
func AppendVMMonitoring(dst []byte, samples iter.Seq[agentapi.VMSample]) []byte {
	return AppendPool(dst, "MONITORING_DATA", samples, appendVMSample)
}

// AppendHostMonitoring appends the answer of one.host.monitoring and
// one.hostpool.monitoring: samples with the host each is of.
func AppendHostMonitoring(dst []byte, samples iter.Seq2[int, agentapi.HostSample]) []byte {
	dst = open(dst, "MONITORING_DATA")
	for host, s := range samples {
		dst = appendHostSample(dst, host, s)
	}
	return shut(dst, "MONITORING_DATA")
}
