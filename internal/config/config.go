// Package config is the whole product's settings: one typed YAML file, read
// strictly. Every setting has a default here and a line in docs/config.md; an
// unknown key or a value out of range is an error that names it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Config is the content of the configuration file.
type Config struct {
	// Data is the directory that holds everything of this server.
	Data       string     `yaml:"data"`
	Listen     Listen     `yaml:"listen"`
	Zone       Zone       `yaml:"zone"`
	Core       Core       `yaml:"core"`
	Gate       Gate       `yaml:"gate"`
	Flow       Flow       `yaml:"flow"`
	Hypervisor Hypervisor `yaml:"hypervisor"`
	Agent      Agent      `yaml:"agent"`
	Images     Images     `yaml:"images"`
	Log        Log        `yaml:"log"`
}

// Listen gives the address of each face, host:port; port 0 picks one.
type Listen struct {
	Core   string `yaml:"core"`   // XML-RPC
	Flow   string `yaml:"flow"`   // OneFlow
	Gate   string `yaml:"gate"`   // OneGate
	Agents string `yaml:"agents"` // agents of other hosts; "" for none
	// Metrics is where numbers are served for Prometheus; "" for nowhere.
	Metrics string `yaml:"metrics"`
}

// Zone names this cloud in a federation.
type Zone struct {
	ID       int    `yaml:"id"`
	Name     string `yaml:"name"`
	Endpoint string `yaml:"endpoint"` // "" for the address of listen.core
}

// Core holds settings of the service layer, named as in oned.conf.
type Core struct {
	DevicePrefix     string   `yaml:"default_device_prefix"`
	CDROMPrefix      string   `yaml:"default_cdrom_device_prefix"`
	MACPrefix        string   `yaml:"mac_prefix"`
	OtherPermissions bool     `yaml:"enable_other_permissions"`
	SubmitOnHold     bool     `yaml:"vm_submit_on_hold"`
	CPUCost          float64  `yaml:"cpu_cost"`
	MemoryCost       float64  `yaml:"memory_cost"`
	DiskCost         float64  `yaml:"disk_cost"`
	DoneRetention    Duration `yaml:"done_retention"`
	LostAfter        Duration `yaml:"host_lost_after"`
}

// Gate holds settings of OneGate.
type Gate struct {
	// Endpoint is what guests are told; "" for the address of listen.gate, if that
	// is one a guest can reach.
	Endpoint string `yaml:"endpoint"`
	// LinkLocal lets guests reach the gate at 169.254.16.9:5030 on their bridge.
	LinkLocal bool `yaml:"link_local"`
	// PublicURL is how guests reach the gate when that is not where they sent
	// their request, as behind a proxy that speaks TLS. It is used as it is.
	PublicURL string `yaml:"public_url"`
	// Certificate and Key are PEM files with which guests are served over TLS.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// LegacyConf is an onegate-server.conf of the original.
	LegacyConf string `yaml:"legacy_conf"`
	// Permissions switches routes off by resource and action; missing ones are on.
	Permissions       map[string]map[string]bool `yaml:"permissions"`
	RestrictedAttrs   []string                   `yaml:"restricted_attrs"`
	RestrictedActions []string                   `yaml:"restricted_actions"`
	VNetAttributes    []string                   `yaml:"vnet_template_attributes"`
	// Rate bounds the requests of one VM, per second; 0 for no bound. Burst is
	// how many may come at once.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
}

// Flow holds settings of OneFlow.
type Flow struct {
	DefaultCooldown Duration `yaml:"default_cooldown"`
	// MinInterval is the shortest time between two evaluations of one policy.
	MinInterval    Duration `yaml:"elasticity_min_interval"`
	ShutdownAction string   `yaml:"shutdown_action"`
	VMNameTemplate string   `yaml:"vm_name_template"`
	VRNameTemplate string   `yaml:"vr_name_template"`
	ActionNumber   int      `yaml:"action_number"`
	ActionPeriod   Duration `yaml:"action_period"`
	// Deadline is how long the VMs of a role may take to come up or to go before
	// the operation fails; 0 for no limit, as in the original.
	Deadline Duration `yaml:"deadline"`
	// LegacyConf is a oneflow-server.conf of the original.
	LegacyConf string `yaml:"legacy_conf"`
}

// Hypervisor says how machines run on this host.
type Hypervisor struct {
	Driver string `yaml:"driver"` // auto, libvirt or sim
	// Type forces the domain type kvm or qemu; "" finds out by a real boot.
	Type          string `yaml:"type"`
	LibvirtSocket string `yaml:"libvirt_socket"`
	ProbeKernel   string `yaml:"probe_kernel"` // kernel for the probe; "" finds one
	Sim           Sim    `yaml:"sim"`
}

// Sim describes simulated hosts.
type Sim struct {
	CPU         int      `yaml:"cpu"`       // cores
	MemoryMB    int64    `yaml:"memory_mb"` //
	BootTime    Duration `yaml:"boot_time"`
	FailureRate float64  `yaml:"failure_rate"`
}

// Agent holds settings of the agent on this host.
type Agent struct {
	Host           string   `yaml:"host"` // name of this host; "" for the machine's
	HostInterval   Duration `yaml:"host_interval"`
	VMInterval     Duration `yaml:"vm_interval"`
	ShutdownRepeat Duration `yaml:"shutdown_repeat"`
	// Gate is the URL that guests' requests go to when Gate.LinkLocal is set; "" for
	// the gate of the same process.
	Gate string `yaml:"gate"`
}

// Images says which local paths may be registered as images.
type Images struct {
	SafeDirs []string `yaml:"safe_dirs"`
}

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}

// Duration is a time.Duration written as "90s" or "2h30m".
type Duration time.Duration

// UnmarshalYAML reads a duration, or a number of seconds as the original's files
// have it.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	if s, err := strconv.ParseFloat(n.Value, 64); err == nil && s >= 0 {
		*d = Duration(s * float64(time.Second))
		return nil
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is not a duration; expected for instance 90s or 2h30m", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes a duration.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Std returns the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Default returns the settings of a server that nobody configured.
func Default() Config {
	return Config{
		Data:   "/var/lib/trifid",
		Listen: Listen{Core: "127.0.0.1:2633", Flow: "127.0.0.1:2474", Gate: "0.0.0.0:5030"},
		Zone:   Zone{Name: "OpenNebula"},
		Core: Core{
			DevicePrefix: "sd", CDROMPrefix: "hd", MACPrefix: "02:00", OtherPermissions: true,
			DoneRetention: Duration(90 * 24 * time.Hour), LostAfter: Duration(60 * time.Second),
		},
		Gate: Gate{
			RestrictedAttrs:   []string{"SCHED_REQUIREMENTS", "SERVICE_ID", "ROLE_NAME"},
			RestrictedActions: []string{"reboot"},
			VNetAttributes: []string{
				"NETWORK_ADDRESS", "NETWORK_MASK", "GATEWAY", "GATEWAY6", "DNS", "GUEST_MTU", "METRIC", "IP6_METRIC", "SEARCH_DOMAIN",
			},
		},
		Flow: Flow{
			DefaultCooldown: Duration(300 * time.Second), MinInterval: Duration(time.Second), ShutdownAction: "terminate",
			VMNameTemplate: "$ROLE_NAME_$VM_NUMBER_(service_$SERVICE_ID)", VRNameTemplate: "$ROLE_NAME(service_$SERVICE_ID)", ActionNumber: 1, ActionPeriod: Duration(60 * time.Second),
		},
		Hypervisor: Hypervisor{Driver: "auto", LibvirtSocket: "/var/run/libvirt/libvirt-sock", Sim: Sim{CPU: 4096, MemoryMB: 64 << 20}},
		Agent: Agent{
			HostInterval: Duration(120 * time.Second), VMInterval: Duration(30 * time.Second), ShutdownRepeat: Duration(5 * time.Second),
		},
		Images: Images{SafeDirs: []string{"/var/tmp"}},
		Log:    Log{Level: "info", Format: "text"},
	}
}

// maxFile bounds a configuration file.
const maxFile = 1 << 20

var errTooLarge = fmt.Errorf("larger than %d bytes", maxFile)

// Load reads a file over the defaults; an empty path gives the defaults alone.
// Files of the original that it names lie between the two; ignored lists keys of
// theirs that mean nothing here.
func Load(path string) (c Config, ignored []string, err error) {
	c = Default()
	if path == "" {
		return c, nil, nil
	}
	b, err := readBounded(path)
	if err != nil {
		return c, nil, fmt.Errorf("read the configuration: %w", err)
	}
	if ignored, err = c.merge(b); err != nil {
		return c, nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, ignored, nil
}

// readBounded reads a file that is not too large for one of settings.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// merge reads YAML over the present settings, and files of the original between.
func (c *Config) merge(b []byte) (ignored []string, err error) {
	if len(b) > maxFile {
		return nil, errTooLarge
	}
	named := *c // to see which files it names
	named.Gate.Permissions = nil
	if err := decode(b, &named); err != nil {
		return nil, err
	}
	ignored, err = readLegacyFile(named.Gate.LegacyConf, readLegacyGate, c)
	if err != nil {
		return nil, fmt.Errorf("gate.legacy_conf: %w", err)
	}
	more, err := readLegacyFile(named.Flow.LegacyConf, readLegacyFlow, c)
	if err != nil {
		return nil, fmt.Errorf("flow.legacy_conf: %w", err)
	}
	permissions := c.Gate.Permissions
	c.Gate.Permissions = nil
	if err := decode(b, c); err != nil {
		return nil, err
	}
	// A permission that is given does not give those beside it back.
	for resource, actions := range permissions {
		for action, allowed := range actions {
			if _, said := c.Gate.Permissions[resource][action]; !said {
				c.Gate.permit(resource, action, allowed)
			}
		}
	}
	return append(ignored, more...), c.Validate()
}

func (g *Gate) permit(resource, action string, allowed bool) {
	if g.Permissions == nil {
		g.Permissions = map[string]map[string]bool{}
	}
	if g.Permissions[resource] == nil {
		g.Permissions[resource] = map[string]bool{}
	}
	g.Permissions[resource][action] = allowed
}

// decode reads YAML strictly; what it does not say stays.
func decode(b []byte, c *Config) error {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	var bad []error
	wrong := func(key, format string, args ...any) {
		bad = append(bad, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Data == "" {
		wrong("data", "expected a directory")
	} else if abs, err := filepath.Abs(c.Data); err != nil {
		wrong("data", "%v", err)
	} else {
		c.Data = abs
	}
	for key, addr := range map[string]string{
		"listen.core": c.Listen.Core, "listen.flow": c.Listen.Flow, "listen.gate": c.Listen.Gate,
		"listen.agents": c.Listen.Agents, "listen.metrics": c.Listen.Metrics,
	} {
		if addr == "" && (key == "listen.agents" || key == "listen.metrics") {
			continue
		}
		if _, port, err := net.SplitHostPort(addr); err != nil {
			wrong(key, "%q is not host:port", addr)
		} else if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			wrong(key, "%q is not a port", port)
		}
	}
	oneOf := func(key, v string, allowed ...string) {
		for _, a := range allowed {
			if v == a {
				return
			}
		}
		wrong(key, "%q; expected %s", v, strings.Join(allowed, ", "))
	}
	oneOf("hypervisor.driver", c.Hypervisor.Driver, "auto", "libvirt", "sim")
	oneOf("hypervisor.type", c.Hypervisor.Type, "", "kvm", "qemu")
	oneOf("flow.shutdown_action", c.Flow.ShutdownAction, shutdownActions...)
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "text", "json")
	if _, err := c.MACPrefix(); err != nil {
		wrong("core.mac_prefix", "%v", err)
	}
	if c.Zone.ID < 0 {
		wrong("zone.id", "%d; expected a number of at least 0", c.Zone.ID)
	}
	if r := c.Hypervisor.Sim.FailureRate; r < 0 || r > 1 {
		wrong("hypervisor.sim.failure_rate", "%v; expected 0 to 1", r)
	}
	if (c.Gate.Certificate == "") != (c.Gate.Key == "") {
		wrong("gate.certificate", "expected it together with gate.key")
	}
	for key, raw := range map[string]string{"gate.endpoint": c.Gate.Endpoint, "gate.public_url": c.Gate.PublicURL, "agent.gate": c.Agent.Gate} {
		if u, err := url.Parse(raw); raw != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			wrong(key, "%q; expected a URL that begins with http:// or https://", raw)
		}
	}
	if _, err := tmpl.NewRestricted(c.Gate.RestrictedAttrs); err != nil {
		wrong("gate.restricted_attrs", "%v", err)
	}
	if c.Gate.Rate < 0 || c.Gate.Burst < 0 {
		wrong("gate.rate", "expected numbers of at least 0")
	}
	return errors.Join(bad...)
}

// MACPrefix returns the two bytes all MACs begin with.
func (c *Config) MACPrefix() (uint16, error) {
	hi, lo, ok := strings.Cut(c.Core.MACPrefix, ":")
	a, err1 := strconv.ParseUint(hi, 16, 8)
	b, err2 := strconv.ParseUint(lo, 16, 8)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q; expected two hexadecimal bytes such as 02:00", c.Core.MACPrefix)
	}
	return uint16(a)<<8 | uint16(b), nil
}
