package sim

import (
	"context"
	"strconv"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// trafficRate is what a domain sends and receives, bytes per second of its life:
// a counter that grows, so that rates computed from it are of known size.
const trafficRate = 1000

// Stats implements hypervisor.Driver. Values follow from the size of the domains
// and their load; there is no chance in them.
func (s *Sim) Stats(ctx context.Context) (agentapi.HostSample, []agentapi.VMSample, error) {
	var (
		host agentapi.HostSample
		vms  []agentapi.VMSample
	)
	err := s.do(ctx, OpStats, "", func() error {
		now := time.Now().Unix()
		host = agentapi.HostSample{Time: now}
		up := s.snapshot()
		s.mu.Lock()
		defaultLoad := s.cfg.Load
		s.mu.Unlock()
		for _, d := range up {
			load := d.load
			if load < 0 {
				load = defaultLoad
			}
			cpu := 100 * d.CPU * load
			traffic := (now - d.Started) * trafficRate
			host.UsedCPU += int64(cpu)
			host.UsedMemory += d.MemoryKB
			host.NetRX += traffic
			host.NetTX += traffic
			if d.VM < 0 {
				continue
			}
			bytes := strconv.FormatInt(traffic, 10)
			vms = append(vms, agentapi.VMSample{VM: d.VM, Time: now, Data: tmpl.New(
				tmpl.Single("CPU", strconv.FormatFloat(cpu, 'f', 2, 64)),
				tmpl.Single("MEMORY", strconv.FormatInt(d.MemoryKB, 10)),
				tmpl.Single("NETRX", bytes),
				tmpl.Single("NETTX", bytes),
				tmpl.Single("DISKRDBYTES", "0"),
				tmpl.Single("DISKRDIOPS", "0"),
				tmpl.Single("DISKWRBYTES", "0"),
				tmpl.Single("DISKWRIOPS", "0"),
			)})
		}
		host.FreeCPU = max(0, s.cfg.CPU-host.UsedCPU)
		host.FreeMemory = max(0, s.cfg.MemoryKB-host.UsedMemory)
		return nil
	})
	return host, vms, err
}
