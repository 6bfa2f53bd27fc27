package cloud

import (
	"fmt"
	"sort"
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// autoRequirements returns the AUTOMATIC_* attributes of a VM: the clusters that
// all its datastores and networks share, and what else its template implies. No
// cluster in common is an error. Source: VM lifecycle reference §8.3.
func autoRequirements(t, user *tmpl.Template) (*tmpl.Template, error) {
	clusters, err := commonClusters(t)
	if err != nil {
		return nil, err
	}
	var host, ds []string
	if clusters != nil {
		var hs, dss []string
		for _, c := range clusters {
			hs = append(hs, "CLUSTER_ID = "+itoa(c))
			dss = append(dss, "\"CLUSTERS/ID\" @> "+itoa(c))
		}
		host = append(host, "("+strings.Join(hs, " | ")+")")
		ds = append(ds, "("+strings.Join(dss, " | ")+")")
	}
	cloud := "!(PUBLIC_CLOUD = YES)"
	var types []string
	for _, p := range user.Vectors("PUBLIC_CLOUD") {
		if typ := p.Get("TYPE"); typ != "" {
			types = append(types, "HYPERVISOR = "+typ)
		}
	}
	if types != nil {
		// Operators bind alike, from the left: public hosts need not be in the clusters.
		cloud += " | (PUBLIC_CLOUD = YES & (" + strings.Join(types, " | ") + "))"
	}
	host = append(host, cloud)
	if pin := strings.ToUpper(t.Vector("TOPOLOGY").Get("PIN_POLICY")); pin != "" && pin != "NONE" {
		host = append(host, "(PIN_POLICY = PINNED)")
	} else {
		host = append(host, "!(PIN_POLICY = PINNED)")
	}
	for _, f := range strings.Split(t.Vector("CPU_MODEL").Get("FEATURES"), ",") {
		if f = strings.TrimSpace(f); f != "" {
			host = append(host, `(KVM_CPU_FEATURES = "*`+f+`*")`)
		}
	}
	out := tmpl.New(tmpl.Single("AUTOMATIC_REQUIREMENTS", strings.Join(host, " & ")))
	if len(ds) > 0 {
		out = out.With("AUTOMATIC_DS_REQUIREMENTS", strings.Join(ds, " & ")).With("AUTOMATIC_NIC_REQUIREMENTS", strings.Join(ds, " & "))
	}
	return out, nil
}

// commonClusters intersects the clusters of all datastores and networks a VM
// uses; nil means that nothing restricts it.
func commonClusters(t *tmpl.Template) ([]int, error) {
	var have map[int]bool
	meet := func(list, what, empty string) error {
		ids := splitInts(list)
		if len(ids) == 0 {
			return fmt.Errorf("Missing clusters. %s is not in any cluster", what)
		}
		if have == nil {
			have = map[int]bool{}
			for _, c := range ids {
				have[c] = true
			}
			return nil
		}
		next := map[int]bool{}
		for _, c := range ids {
			if have[c] {
				next[c] = true
			}
		}
		if len(next) == 0 {
			return fmt.Errorf("%s %s is in cluster %s, which none of the others shares", empty, what, list)
		}
		have = next
		return nil
	}
	for _, f := range []string{"KERNEL", "INITRD"} {
		if os := t.Vector("OS"); os.Has(f + "_DS_ID") {
			if err := meet(os.Get(f+"_DS_CLUSTER_ID"), "Datastore for "+f+" "+os.Get(f+"_DS_DSID"), "Incompatible cluster in "+f+" datastore."); err != nil {
				return nil, err
			}
		}
	}
	for _, d := range t.Vectors("DISK") {
		if d.Has("IMAGE_ID") {
			if err := meet(d.Get("CLUSTER_ID"), "Datastore for DISK "+d.Get("DISK_ID"), "Incompatible clusters in DISK."); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{"NIC", "NIC_ALIAS"} {
		for _, n := range t.Vectors(name) {
			if n.Has("NETWORK_ID") {
				if err := meet(n.Get("CLUSTER_ID"), "Network for "+name+" "+n.Get("NIC_ID"), "Incompatible clusters in NIC."); err != nil {
					return nil, err
				}
			}
		}
	}
	if have == nil {
		return nil, nil
	}
	out := make([]int, 0, len(have))
	for c := range have {
		out = append(out, c)
	}
	sort.Ints(out)
	return out, nil
}
