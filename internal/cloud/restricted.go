package cloud

import (
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// The restricted attributes of a stock configuration: only administrators may
// set them. Source: XML-RPC reference §9.6.
var (
	vmRestricted    = mustRestricted(vmRestrictedList())
	imageRestricted = mustRestricted([]string{"SOURCE", "VCENTER_IMPORTED"})
	vnetRestricted  = mustRestricted([]string{
		"VN_MAD", "PHYDEV", "VLAN_ID", "CVLANS", "QINQ_TYPE", "BRIDGE", "CONF", "BRIDGE_CONF", "OVS_BRIDGE_CONF",
		"IP_LINK_CONF", "FILTER", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING", "AR/VN_MAD", "AR/PHYDEV", "AR/VLAN_ID",
		"AR/BRIDGE", "AR/FILTER", "AR/FILTER_IP_SPOOFING", "AR/FILTER_MAC_SPOOFING", "CLUSTER_IDS", "EXTERNAL",
	})
	userRestricted = mustRestricted([]string{"VM_USE_OPERATIONS", "VM_MANAGE_OPERATIONS", "VM_ADMIN_OPERATIONS"})
)

func vmRestrictedList() []string {
	list := []string{
		"CONTEXT/FILES", "NIC_DEFAULT/MAC", "NIC_DEFAULT/VLAN_ID", "NIC_DEFAULT/BRIDGE", "NIC_DEFAULT/FILTER",
		"NIC_DEFAULT/EXTERNAL", "DISK/SIZE_IOPS_SEC", "DISK/OPENNEBULA_MANAGED", "DISK/VCENTER_DS_REF",
		"DISK/VCENTER_INSTANCE_ID", "DISK/ORIGINAL_SIZE", "DISK/SIZE_PREV", "DEPLOY_ID", "CPU_COST", "MEMORY_COST",
		"DISK_COST", "PCI", "EMULATOR", "RAW", "USER_PRIORITY", "USER_INPUTS/CPU", "USER_INPUTS/MEMORY",
		"USER_INPUTS/VCPU", "VCENTER_VM_FOLDER", "VCENTER_ESX_HOST", "TOPOLOGY/PIN_POLICY", "TOPOLOGY/HUGEPAGE_SIZE",
	}
	for _, k := range []string{
		"MAC", "VLAN_ID", "BRIDGE", "INBOUND_AVG_BW", "INBOUND_PEAK_BW", "INBOUND_PEAK_KB", "OUTBOUND_AVG_BW",
		"OUTBOUND_PEAK_BW", "OUTBOUND_PEAK_KB", "OPENNEBULA_MANAGED", "VCENTER_INSTANCE_ID", "VCENTER_NET_REF",
		"VCENTER_PORTGROUP_TYPE", "EXTERNAL",
	} {
		list = append(list, "NIC/"+k, "NIC_ALIAS/"+k)
	}
	list = append(list, "NIC/FILTER", "NIC/FILTER_IP_SPOOFING", "NIC/FILTER_MAC_SPOOFING")
	for _, way := range []string{"TOTAL", "READ", "WRITE"} {
		for _, unit := range []string{"BYTES", "IOPS"} {
			for _, end := range []string{"", "_MAX", "_MAX_LENGTH"} {
				list = append(list, "DISK/"+way+"_"+unit+"_SEC"+end)
			}
		}
	}
	return list
}

// mustRestricted builds a list that is part of the program: a bad one is a bug.
func mustRestricted(list []string) *tmpl.Restricted {
	r, err := tmpl.NewRestricted(list)
	if err != nil {
		panic(err)
	}
	return r
}

// Encrypted attributes by kind. Source: XML-RPC reference §9.7.
var (
	vmEncrypted        = []string{"CONTEXT/PASSWORD"}
	imageEncrypted     = []string{"LUKS_PASSWORD"}
	documentEncrypted  = []string{"PROVISION_BODY"}
	userEncrypted      = []string{"SSH_PRIVATE_KEY", "SSH_PASSPHRASE"}
	datastoreEncrypted = []string{"RESTIC_PASSWORD"}
	hostEncrypted      = []string{
		"EC2_ACCESS", "EC2_SECRET", "AZ_SUB", "AZ_CLIENT", "AZ_SECRET", "AZ_TENANT", "VCENTER_PASSWORD", "NSX_PASSWORD",
		"ONE_PASSWORD",
	}
)

// encryptedOf returns the encrypted attributes of a kind, nil for none.
func encryptedOf(kind one.Kind) []string {
	switch kind {
	case one.KindVM, one.KindTemplate:
		return vmEncrypted
	case one.KindImage:
		return imageEncrypted
	case one.KindDocument:
		return documentEncrypted
	case one.KindUser:
		return userEncrypted
	case one.KindDatastore:
		return datastoreEncrypted
	case one.KindHost:
		return hostEncrypted
	}
	return nil
}

// encrypt stores the encrypted attributes of a template as the reference does.
func (c *Cloud) encrypt(kind one.Kind, t *tmpl.Template) (*tmpl.Template, error) {
	list := encryptedOf(kind)
	if list == nil || c.cfg.EncryptionKey == "" {
		return t, nil
	}
	return tmpl.Encrypt(t, list, c.cfg.EncryptionKey)
}

// Clear returns a template with its encrypted attributes in clear, for
// administrators that ask for it and for hosts. Source: XML-RPC reference §3.
func (c *Cloud) Clear(who auth.Caller, kind one.Kind, t *tmpl.Template) *tmpl.Template {
	list := encryptedOf(kind)
	if list == nil || c.cfg.EncryptionKey == "" || !who.Admin {
		return t
	}
	out, err := tmpl.Decrypt(t, list, c.cfg.EncryptionKey)
	if err != nil {
		c.log.Error("decrypt attributes", "kind", kind.String(), "err", err)
		return t
	}
	return out
}

// mergeUpdate returns a template after an update call: replaced (append 0) or
// merged (append 1), restricted attributes checked for non-administrators.
// Source: XML-RPC reference §6.2 and §9.6.
func (c *Cloud) mergeUpdate(who auth.Caller, kind one.Kind, restricted *tmpl.Restricted, old, change *tmpl.Template, appendMode int) (*tmpl.Template, error) {
	if appendMode != 0 && appendMode != 1 {
		return nil, errs.New(errs.API, "Wrong update type")
	}
	next := change
	if restricted != nil && !who.Admin {
		attr, bad, kept := restricted.CheckUpdate(old, change, appendMode == 0)
		if bad {
			text := "Tried to change restricted attribute: "
			if appendMode == 1 {
				text = "User Template includes a restricted attribute "
			}
			return nil, errs.New(errs.Internal, "Cannot update template. %s%s", text, attr)
		}
		next = kept
	}
	if appendMode == 1 {
		next = old.Merge(next)
	}
	out, err := c.encrypt(kind, next)
	if err != nil {
		return nil, errs.New(errs.Internal, "Cannot update template. %s", strings.TrimSpace(err.Error()))
	}
	return out, nil
}
