package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	rpc "github.com/digitalocean/go-libvirt"
	"github.com/prometheus/procfs"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/hypervisor"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// meter turns counters into rates: it remembers the last values.
type meter struct {
	proc procfs.FS

	mu   sync.Mutex
	host cpuTime
	vms  map[string]cpuTime // by UUID
}

// cpuTime is how long processors have worked until a time.
type cpuTime struct {
	at   time.Time
	busy time.Duration
}

// since is how many percent of one core were used on average since before.
func (c cpuTime) since(before cpuTime) float64 {
	span := c.at.Sub(before.at)
	if before.at.IsZero() || span <= 0 || c.busy < before.busy {
		return 0
	}
	return 100 * float64(c.busy-before.busy) / float64(span)
}

// start takes the first values.
func (m *meter) start() error {
	var err error
	if m.proc, err = procfs.NewDefaultFS(); err != nil {
		return fmt.Errorf("measure the host: %w", err)
	}
	m.host, err = m.hostCPU()
	return err
}

func (m *meter) hostCPU() (cpuTime, error) {
	st, err := m.proc.Stat()
	if err != nil {
		return cpuTime{}, fmt.Errorf("measure the host: %w", err)
	}
	t := st.CPUTotal // guests are part of user time
	busy := t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal
	return cpuTime{at: time.Now(), busy: time.Duration(busy * float64(time.Second))}, nil
}

// hasCgroupV2 tells which control groups the host has.
func hasCgroupV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// physical is what network devices are called that are the host's own.
// Source: the reference's probe counts these and no bridges or ports of guests.
var physical = regexp.MustCompile(`^(eth|en|em|bond|wl|p\d+p\d+)`)

// sample measures the host.
func (m *meter) sample(cores int64) (agentapi.HostSample, error) {
	mem, err := m.proc.Meminfo()
	if err != nil {
		return agentapi.HostSample{}, fmt.Errorf("measure the host: %w", err)
	}
	devices, err := m.proc.NetDev()
	if err != nil {
		return agentapi.HostSample{}, fmt.Errorf("measure the host: %w", err)
	}
	now, err := m.hostCPU()
	if err != nil {
		return agentapi.HostSample{}, err
	}
	m.mu.Lock()
	used := now.since(m.host)
	m.host = now
	m.mu.Unlock()

	s := agentapi.HostSample{Time: now.at.Unix(), UsedCPU: min(int64(used), cores*100)}
	s.FreeCPU = cores*100 - s.UsedCPU
	s.FreeMemory = kb(mem.MemAvailable)
	s.UsedMemory = kb(mem.MemTotal) - s.FreeMemory
	for name, dev := range devices {
		if physical.MatchString(name) {
			s.NetRX += int64(dev.RxBytes)
			s.NetTX += int64(dev.TxBytes)
		}
	}
	return s, nil
}

func kb(v *uint64) int64 {
	if v == nil {
		return 0
	}
	return int64(*v)
}

// vmCPU is how much CPU each VM has used since it was asked last, by UUID. VMs
// that are gone are forgotten.
func (m *meter) vmCPU(now map[string]cpuTime) map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	used := make(map[string]float64, len(now))
	for uuid, t := range now {
		used[uuid] = t.since(m.vms[uuid])
	}
	m.vms = now
	return used
}

// Stats implements hypervisor.Driver. The CPU of a VM is the average since the
// last call, and 0 at the first.
// Source: resources reference §9.3.
func (d *Driver) Stats(ctx context.Context) (host agentapi.HostSample, vms []agentapi.VMSample, err error) {
	var records []rpc.DomainStatsRecord
	var cores int32
	err = d.stats.call(ctx, "measure domains", d.cfg.CallTime, func(l *rpc.Libvirt) (err error) {
		if _, _, cores, _, _, _, _, _, err = l.NodeGetInfo(); err != nil {
			return err
		}
		// A domain that is busy is left out of what would have to wait for it.
		records, err = l.ConnectGetAllDomainStats(nil,
			uint32(rpc.DomainStatsState|rpc.DomainStatsCPUTotal|rpc.DomainStatsBalloon|rpc.DomainStatsInterface|rpc.DomainStatsBlock),
			uint32(rpc.ConnectGetAllDomainsStatsActive|rpc.ConnectGetAllDomainsStatsNowait))
		return err
	})
	if err != nil {
		return host, nil, err
	}
	if host, err = d.meter.sample(int64(cores)); err != nil {
		return host, nil, err
	}
	at := time.Now()
	times := make(map[string]cpuTime)
	for _, r := range records {
		if hypervisor.VMID(r.Dom.Name) >= 0 {
			times[uuidOf(r.Dom)] = cpuTime{at: at, busy: time.Duration(params(r.Params).number("cpu.time"))}
		}
	}
	used := d.meter.vmCPU(times)
	for _, r := range records {
		if id := hypervisor.VMID(r.Dom.Name); id >= 0 {
			vms = append(vms, agentapi.VMSample{VM: id, Time: at.Unix(), Data: vmSample(params(r.Params), used[uuidOf(r.Dom)])})
		}
	}
	return host, vms, nil
}

// vmSample is the monitoring document of a VM.
func vmSample(p values, cpu float64) *tmpl.Template {
	sum := func(kind, field string) string {
		var n int64
		for i := range p.number(kind + ".count") {
			n += p.number(fmt.Sprintf("%s.%d.%s", kind, i, field))
		}
		return strconv.FormatInt(n, 10)
	}
	memory, ok := p["balloon.rss"]
	if !ok {
		memory = p["balloon.current"]
	}
	return tmpl.New(
		tmpl.Single("CPU", strconv.FormatFloat(cpu, 'f', 2, 64)),
		tmpl.Single("MEMORY", strconv.FormatInt(memory, 10)),
		tmpl.Single("NETRX", sum("net", "rx.bytes")),
		tmpl.Single("NETTX", sum("net", "tx.bytes")),
		tmpl.Single("DISKRDBYTES", sum("block", "rd.bytes")),
		tmpl.Single("DISKRDIOPS", sum("block", "rd.reqs")),
		tmpl.Single("DISKWRBYTES", sum("block", "wr.bytes")),
		tmpl.Single("DISKWRIOPS", sum("block", "wr.reqs")),
	)
}

// values is libvirt's typed parameters that are whole numbers.
type values map[string]int64

func (v values) number(name string) int64 { return v[name] }

func params(ps []rpc.TypedParam) values {
	v := make(values, len(ps))
	for _, p := range ps {
		switch n := p.Value.I.(type) {
		case int32:
			v[p.Field] = int64(n)
		case uint32:
			v[p.Field] = int64(n)
		case int64:
			v[p.Field] = n
		case uint64:
			v[p.Field] = int64(n)
		}
	}
	return v
}

// capabilities is the part of libvirt's capabilities that hosts report.
type capabilities struct {
	Arch     string   `xml:"host>cpu>arch"`
	Model    string   `xml:"host>cpu>model"`
	Features []named  `xml:"host>cpu>feature"`
	Guests   []guests `xml:"guest"`
}

type named struct {
	Name string `xml:"name,attr"`
}

type guests struct {
	Arch struct {
		Name     string   `xml:"name,attr"`
		Machines []string `xml:"machine"`
	} `xml:"arch"`
}

// Facts implements hypervisor.Driver.
// Source: resources reference §7.1, host system probes.
func (d *Driver) Facts(ctx context.Context) (agentapi.Facts, error) {
	var (
		doc    string
		models []string
		memory uint64
		cores  int32
		mhz    int32
	)
	hostname, err := os.Hostname()
	if err != nil {
		return agentapi.Facts{}, fmt.Errorf("name of the host: %w", err)
	}
	err = d.calls.call(ctx, "ask what the host is", d.cfg.CallTime, func(l *rpc.Libvirt) (err error) {
		if _, memory, cores, mhz, _, _, _, _, err = l.NodeGetInfo(); err != nil {
			return err
		}
		doc, err = l.ConnectGetCapabilities()
		return err
	})
	if err != nil {
		return agentapi.Facts{}, err
	}
	var caps capabilities
	if err := xml.Unmarshal([]byte(doc), &caps); err != nil {
		return agentapi.Facts{}, fmt.Errorf("read libvirt's capabilities: %w", err)
	}
	err = d.calls.call(ctx, "ask for CPU models", d.cfg.CallTime, func(l *rpc.Libvirt) (err error) {
		models, _, err = l.ConnectGetCPUModelNames(caps.Arch, 1, 0)
		return err
	})
	if err != nil {
		return agentapi.Facts{}, err
	}
	return agentapi.Facts{
		Hostname: hostname, Hypervisor: d.cfg.Type, CPU: int64(cores) * 100, MemoryKB: int64(memory),
		Template: tmpl.New(
			tmpl.Single("ARCH", caps.Arch),
			tmpl.Single("CGROUPS_VERSION", map[bool]string{false: "1", true: "2"}[d.cgroupV2]),
			tmpl.Single("CPUSPEED", strconv.Itoa(int(mhz))),
			tmpl.Single("HOSTNAME", hostname),
			tmpl.Single("HYPERVISOR", d.cfg.Type),
			tmpl.Single("KVM_CPU_FEATURES", joinNames(caps.Features)),
			tmpl.Single("KVM_CPU_MODEL", caps.Model),
			tmpl.Single("KVM_CPU_MODELS", strings.Join(models, " ")),
			tmpl.Single("KVM_MACHINES", strings.Join(caps.machines(), " ")),
			tmpl.Single("MODELNAME", d.meter.modelName()),
			tmpl.Single("VERSION", d.cfg.Version),
		),
	}, nil
}

func joinNames(all []named) string {
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.Name
	}
	return strings.Join(names, ",")
}

// machines is the machines guests of the host's own architecture may have.
func (c capabilities) machines() []string {
	for _, g := range c.Guests {
		if g.Arch.Name == c.Arch {
			return g.Arch.Machines
		}
	}
	return nil
}

// modelName is the name of the host's processor, "" if it has none.
func (m *meter) modelName() string {
	cpus, err := m.proc.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return ""
	}
	return cpus[0].ModelName
}
