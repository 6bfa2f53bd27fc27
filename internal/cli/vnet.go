package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// defaultCluster asks for the default cluster. Source: XML-RPC reference §6.9.
const defaultCluster = -1

func clusterFlag(f *pflag.FlagSet) { text(f, "cluster", "c", "cluster, by name or id") }

func (c *call) cluster() (int, error) {
	if s := c.str("cluster"); s != "" {
		return c.id(&clusterPool, s)
	}
	return defaultCluster, nil
}

func vnetNoun() *noun {
	n := &noun{cmd: "onevnet", alias: "vnet", short: "Manage virtual networks", pool: vnetPool, filtered: true, table: vnetTable, show: showVNet}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(),
		n.showVerb("vnetid", false, func(f *pflag.FlagSet) { boolean(f, "show-ar", "", "show the attributes of the address ranges too") }),
		{
			name: "create", short: "Create a network from a template", args: []arg{file}, flags: clusterFlag, example: "create private.tmpl",
			run: createFromFile("vn.allocate", func(c *call) ([]any, error) {
				id, err := c.cluster()
				return []any{id}, err
			}),
		},
		deleteVerb("vnetid", "deleting"),
		updateVerb("vnetid", "TEMPLATE", "modified"), renameVerb("vnetid"), chmodVerb("vnetid", nil),
		recoverVerb("vnetid", "A network whose creation, deletion or update hangs is told how it went.", []recovery{
			{"success", 1, "recover the VN by succeeding the missing action."},
			{"failure", 0, "recover the VN by failing the missing action."},
			{"delete", 2, "no recover possible, delete the VN."},
			{"retry", 3, "recover the VN by retrying the last failed action."},
		}),
	}
	n.verbs = append(n.verbs, vnetRanges()...)
	n.verbs = append(n.verbs, vnetLeases()...)
	n.verbs = append(n.verbs, chownVerbs("vnetid")...)
	n.verbs = append(n.verbs, lockVerbs("vnetid", "VNet")...)
	return n
}

// createFromFile makes the run of a create verb whose template comes from a file
// or from standard input only.
func createFromFile(name string, more func(c *call) ([]any, error)) func(*call) error {
	return func(c *call) error {
		t, ok, err := c.template(0)
		if err != nil {
			return err
		}
		if !ok {
			return errNoTemplate
		}
		args := []any{t}
		if more != nil {
			extra, err := more(c)
			if err != nil {
				return err
			}
			args = append(args, extra...)
		}
		r, err := c.do(name, args...)
		if err == nil {
			c.created("ID", r)
		}
		return err
	}
}

// rangeFlags describe an address range.
func rangeFlags(f *pflag.FlagSet) {
	text(f, "size", "s", "number of addresses")
	text(f, "mac", "m", "first MAC address")
	text(f, "ip", "i", "first IPv4 address")
	text(f, "ip6", "6", "first IPv6 address with its prefix length: 2001:db8::1/64")
	text(f, "ip6_global", "g", "global IPv6 prefix")
	text(f, "ip6_ula", "u", "unique local IPv6 prefix")
	text(f, "gateway", "", "gateway")
	text(f, "netmask", "", "network mask")
	text(f, "vn_mad", "", "network driver")
	text(f, "vlanid", "", "VLAN")
}

// addressRange renders rangeFlags as an AR. Source: resources reference §6.2.
func (c *call) addressRange() (string, error) {
	ip, ip6, prefixes := c.str("ip"), c.str("ip6"), c.str("ip6_global")+c.str("ip6_ula") != ""
	kind := "ETHER"
	switch {
	case ip != "" && prefixes:
		kind = "IP4_6"
	case ip != "" && ip6 != "":
		kind = "IP4_6_STATIC"
	case ip != "":
		kind = "IP4"
	case ip6 != "":
		kind = "IP6_STATIC"
	case prefixes:
		kind = "IP6"
	}
	if c.str("size") == "" && ip6 == "" {
		return "", fmt.Errorf("Address range needs to specify size (-s size)")
	}
	length := ""
	if ip6 != "" {
		addr, l, ok := strings.Cut(ip6, "/")
		if _, isNumber := digits(l); !ok || !isNumber {
			return "", fmt.Errorf("IP6 address need to set the prefix length")
		}
		ip6, length = addr, l
	}
	return vector("AR", "TYPE", kind, "SIZE", c.str("size"), "PREFIX_LENGTH", length, "IP", ip, "IP6", ip6, "MAC", c.str("mac"),
		"GLOBAL_PREFIX", c.str("ip6_global"), "ULA_PREFIX", c.str("ip6_ula"), "GATEWAY", c.str("gateway"), "NETWORK_MASK", c.str("netmask"),
		"VN_MAD", c.str("vn_mad"), "VLAN_ID", c.str("vlanid")), nil
}

func vnetRanges() []verb {
	return []verb{
		{
			name: "addar", short: "Add an address range", args: []arg{self("vnetid"), file}, flags: rangeFlags,
			example: "addar 0 --ip 10.0.0.100 --size 50\naddar 0 range.tmpl",
			run: method("add_ar", "address range added", func(c *call) ([]any, error) {
				if len(c.used(rangeFlags)) > 0 {
					t, err := c.addressRange()
					return []any{t}, err
				}
				t, ok, err := c.template(1)
				if err == nil && !ok {
					err = fmt.Errorf("Address range needs to specify size (-s size)")
				}
				return []any{asVector("AR", t)}, err
			}),
		},
		{
			name: "rmar", short: "Remove an address range", args: []arg{self("vnetid"), num("ar_id")}, example: "rmar 0 1",
			flags: func(f *pflag.FlagSet) { boolean(f, "force", "", "even if addresses are in use") },
			run: method("rm_ar", "address range removed", func(c *call) ([]any, error) {
				return []any{c.num(1, 0), c.flag("force")}, nil
			}),
		},
		{
			name: "updatear", short: "Change the attributes of an address range", args: []arg{self("vnetid"), num("ar_id"), file}, flags: appendFlags,
			long: "Size, type and first addresses stay as they are.", example: "updatear 0 1 range.tmpl",
			run: updateRange,
		},
		{
			name: "free", short: "Give a reserved address range back", args: []arg{self("vnetid"), num("ar_id")}, example: "free 3 0",
			run: method("free_ar", "address range freed", nil),
		},
	}
}

// computedAR are the parts of an AR that the core computes.
var computedAR = []string{
	"LEASES", "USED_LEASES", "MAC_END", "IP_END", "IP6_END", "IP6_ULA", "IP6_ULA_END", "IP6_GLOBAL", "IP6_GLOBAL_END", "ALLOCATED",
}

func updateRange(c *call) error {
	id, arID := c.subjects()[0], c.text(1)
	current := func() (string, error) {
		n, err := c.doc("vn.info", id)
		if err != nil {
			return "", err
		}
		for _, ar := range n.All("AR_POOL/AR") {
			if ar.Get("AR_ID") == arID {
				return textOf(ar.Without(computedAR...)), nil
			}
		}
		return "", fmt.Errorf("Address Range %s does not exist for Virtual Network %d", arID, id)
	}
	t, err := c.edit(2, current)
	if err != nil {
		return err
	}
	if c.flag("append") {
		old, err := current()
		if err != nil {
			return err
		}
		t = mergeLines(old, t)
	}
	// The method finds the range by its AR_ID, which users may leave out.
	t = asVector("AR", t)
	if !strings.Contains(strings.ToUpper(t), "AR_ID") {
		t = strings.Replace(t, "[", "[ AR_ID="+quoted(arID)+",", 1)
	}
	return c.each("AR updated", func(id int) error {
		_, err := c.do("vn.update_ar", id, t)
		return err
	})
}

// mergeLines returns old, a list of NAME=value lines, with the lines of new in
// place of those of the same names.
func mergeLines(old, new string) string {
	name := func(l string) string {
		n, _, _ := strings.Cut(l, "=")
		return strings.ToUpper(strings.TrimSpace(n))
	}
	replaced := map[string]bool{}
	for l := range strings.SplitSeq(new, "\n") {
		replaced[name(l)] = true
	}
	var lines []string
	for l := range strings.SplitSeq(old, "\n") {
		if !replaced[name(l)] {
			lines = append(lines, l)
		}
	}
	return strings.Join(append(lines, new), "\n")
}

func vnetLeases() []verb {
	ar := func(f *pflag.FlagSet) { text(f, "address_range", "a", "id of the address range") }
	lease := func(c *call) ([]any, error) {
		key := "IP"
		switch addr := c.text(1); {
		case strings.Count(addr, ":") == 5 && !strings.Contains(addr, "::"):
			key = "MAC"
		case strings.Contains(addr, ":"):
			key = "IP6"
		}
		return []any{vector("LEASES", key, c.text(1), "AR_ID", c.str("address_range"))}, nil
	}
	return []verb{
		{
			name: "hold", short: "Keep an address from being given", args: []arg{self("vnetid"), word("ip")}, flags: ar, example: "hold 0 10.0.0.100",
			run: method("hold", "lease on hold", lease),
		},
		{
			name: "release", short: "Let a held address be given", args: []arg{self("vnetid"), word("ip")}, flags: ar, example: "release 0 10.0.0.100",
			run: method("release", "lease released", lease),
		},
		{
			name: "reserve", short: "Set addresses aside in a network of their own", args: []arg{self("vnetid"), optional(of("vnetid", &vnetPool))},
			long: "With a second network the addresses are added to it; it must be a reservation of the first.", example: "reserve 0 --name mine --size 10",
			flags: flagsOf(ar, func(f *pflag.FlagSet) {
				text(f, "name", "n", "name of the new network")
				text(f, "size", "s", "number of addresses")
				text(f, "mac", "m", "first MAC address")
				text(f, "ip", "i", "first IPv4 address")
				text(f, "ip6", "6", "first IPv6 address")
			}),
			run: reserve,
		},
	}
}

func reserve(c *call) error {
	if c.str("size") == "" {
		return fmt.Errorf("Specify a size (-s size) for the reservation")
	}
	if c.str("name") == "" && !c.given(1) {
		return fmt.Errorf("Specify a name (-n name) for the reservation")
	}
	var b builder
	c.attributes(&b, "size", "SIZE", "name", "NAME", "address_range", "AR_ID", "ip", "IP", "ip6", "IP6", "mac", "MAC")
	if c.given(1) {
		b.line("NETWORK_ID=%s", quoted(strconv.Itoa(c.num(1, -1))))
	}
	return c.each("reservation made", func(id int) error {
		r, err := c.do("vn.reserve", id, b.String())
		if err == nil {
			c.created("Reservation VNET ID", r)
		}
		return err
	})
}
