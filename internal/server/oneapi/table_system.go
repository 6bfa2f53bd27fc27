package oneapi

import (
	"fmt"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// systemMethods are those of one.system. Source: XML-RPC reference §7.23.
func systemMethods() []method {
	const p = "one.system"
	return []method{
		get(p+".version", "", "authenticated", func(*call) (answer, error) { return str(Version), nil }),
		get(p+".config", "", "primary group 0", show(func(c *call) ([]byte, error) {
			const refusal = "The oned configuration can only be retrieved by users in the oneadmin group"
			if err := cloud.RequireAdminGroup(c.who, refusal); err != nil {
				return nil, err
			}
			return onexml.AppendConfiguration(c.doc, c.configuration()), nil
		})).but("the settings that there are here, under the original's names"),
		missing(p+".sql", "sql s, federate b", "uid 0"),
		missing(p+".sqlquery", "sql s", "uid 0"),
	}
}

// configuration returns the settings under the original's names, so that clients
// find what they look for: prefixes, prices, where the gate is, which drivers
// machines may run on.
func (a *API) configuration() *tmpl.Template {
	cfg := a.cloud.Config()
	yes := func(b bool) string {
		if b {
			return "YES"
		}
		return "NO"
	}
	price := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	out := tmpl.New(
		tmpl.Single("API_LIST_ORDER", "DESC"),
		tmpl.Single("DATASTORE_LOCATION", cfg.DatastoreDir),
		tmpl.Single("DEFAULT_CDROM_DEVICE_PREFIX", cfg.CDROMPrefix),
		tmpl.Vec("DEFAULT_COST", "CPU_COST", price(cfg.DefaultCost.CPU), "DISK_COST", price(cfg.DefaultCost.Disk), "MEMORY_COST", price(cfg.DefaultCost.Memory)),
		tmpl.Single("DEFAULT_DEVICE_PREFIX", cfg.DevicePrefix),
		tmpl.Single("DEFAULT_IMAGE_TYPE", cfg.DefaultImageType.String()),
		tmpl.Single("ENABLE_OTHER_PERMISSIONS", yes(cfg.OtherPermissions)),
		tmpl.Vec("FEDERATION", "MODE", "STANDALONE", "ZONE_ID", strconv.Itoa(cfg.Zone)),
		tmpl.Single("MAC_PREFIX", fmt.Sprintf("%02x:%02x", cfg.MACPrefix>>8, cfg.MACPrefix&0xff)),
		tmpl.Single("MESSAGE_SIZE", strconv.Itoa(a.limits.MaxBytes)),
		tmpl.Vec("VM_MAD", "NAME", "kvm", "SUNSTONE_NAME", "KVM", "TYPE", "kvm"),
		tmpl.Vec("VM_MAD", "NAME", "qemu", "SUNSTONE_NAME", "QEMU", "TYPE", "qemu"),
		tmpl.Vec("VM_MAD", "NAME", "dummy", "SUNSTONE_NAME", "Dummy", "TYPE", "xml"),
		tmpl.Single("VM_SUBMIT_ON_HOLD", yes(cfg.SubmitOnHold)),
	)
	if cfg.OneGateEndpoint != "" {
		out = out.With("ONEGATE_ENDPOINT", cfg.OneGateEndpoint)
	}
	return out
}
