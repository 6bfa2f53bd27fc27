package cloud

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AllocateSecGroup creates a security group. Source: resources reference §6.4.
func (c *Cloud) AllocateSecGroup(ctx context.Context, who auth.Caller, t *tmpl.Template) (int, error) {
	id := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		g, err := c.newSecGroup(tx, who, t.Get("NAME"), t.Without("NAME"))
		if err != nil {
			return err
		}
		id = g.ID
		return nil
	})
	return id, err
}

func (c *Cloud) newSecGroup(tx *store.Tx, who auth.Caller, name string, body *tmpl.Template) (*one.SecurityGroup, error) {
	if err := c.allowCreate(&tx.State, who, one.KindSecGroup); err != nil {
		return nil, err
	}
	name, err := checkedName(name)
	if err != nil {
		return nil, err
	}
	if err := checkFreeName(&tx.State, one.KindSecGroup, who.UID, name); err != nil {
		return nil, err
	}
	if err := checkRules(&tx.State, body); err != nil {
		return nil, err
	}
	g := &one.SecurityGroup{Meta: c.newMeta(who, tx.NextID("secgroup", one.FirstCustomID), name), Template: body}
	tx.PutSecGroup(g)
	return g, nil
}

// checkRules checks every RULE of a security group.
func checkRules(st *store.State, t *tmpl.Template) error {
	for _, r := range t.Vectors("RULE") {
		if text := badRule(st, r); text != "" {
			return errs.New(errs.Internal, "%s", text)
		}
	}
	return nil
}

func badRule(st *store.State, r tmpl.Vector) string {
	proto := strings.ToUpper(r.Get("PROTOCOL"))
	switch proto {
	case "TCP", "UDP", "ICMP", "ICMPV6", "IPSEC", "ALL":
	default:
		return "Wrong PROTOCOL in rule. Valid options: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL."
	}
	if way := strings.ToUpper(r.Get("RULE_TYPE")); way != "INBOUND" && way != "OUTBOUND" {
		return "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."
	}
	if s := r.Get("RANGE"); s != "" {
		if proto != "TCP" && proto != "UDP" {
			return "RANGE is supported only for TCP and UDP protocols."
		}
		if text := badPorts(s); text != "" {
			return text
		}
	}
	if r.Get("ICMP_TYPE") != "" && proto != "ICMP" {
		return "ICMP_TYPE is supported only for ICMP protocol."
	}
	if r.Get("ICMPV6_TYPE") != "" && proto != "ICMPV6" {
		return "ICMPV6_TYPE is supported only for ICMPV6 protocol."
	}
	if s := r.Get("IP"); s != "" {
		if _, err := netip.ParseAddr(s); err != nil {
			return "Wrong format for IP value."
		}
		if n, err := strconv.ParseUint(r.Get("SIZE"), 10, 32); err != nil || n == 0 {
			return "Wrong or empty SIZE."
		}
	}
	if s := r.Get("NETWORK_ID"); s != "" {
		id, ok := atoi(s)
		if _, found := st.VNets.Get(id); !ok || !found {
			return "Wrong NETWORK_ID."
		}
	}
	return ""
}

// badPorts checks a list of ports and ranges a:b.
func badPorts(list string) string {
	for _, p := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(p), ":")
		if !isRange {
			to = from
		}
		a, ok1 := atoi(from)
		b, ok2 := atoi(to)
		switch {
		case !ok1 || !ok2:
			return "Invalid RANGE specification."
		case a < 0 || b < 0 || a > 65535 || b > 65535:
			return "RANGE out of bounds 0-65536."
		case a > b:
			return "Invalid RANGE specification."
		}
	}
	return ""
}

// UpdateSecGroup replaces (0) or merges (1) a security group's template.
func (c *Cloud) UpdateSecGroup(ctx context.Context, who auth.Caller, id int, change *tmpl.Template, appendMode int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		g, ok := tx.SecGroups.Get(id)
		if !ok {
			return errs.NotFound(one.KindSecGroup, id)
		}
		if err := c.allow(&tx.State, who, target(g), one.Manage); err != nil {
			return err
		}
		body, err := c.mergeUpdate(who, one.KindSecGroup, nil, g.Template, change.Without("NAME"), appendMode)
		if err != nil {
			return err
		}
		if err := checkRules(&tx.State, body); err != nil {
			return err
		}
		n := *g
		n.Template = body
		tx.PutSecGroup(&n)
		return nil
	})
}

// CloneSecGroup copies a security group under another name.
func (c *Cloud) CloneSecGroup(ctx context.Context, who auth.Caller, id int, name string) (int, error) {
	clone := -1
	err := c.update(ctx, func(tx *store.Tx) error {
		g, ok := tx.SecGroups.Get(id)
		if !ok {
			return errs.NotFound(one.KindSecGroup, id)
		}
		if err := c.allow(&tx.State, who, target(g), one.Use); err != nil {
			return err
		}
		n, err := c.newSecGroup(tx, who, name, g.Template)
		if err != nil {
			return err
		}
		clone = n.ID
		return nil
	})
	return clone, err
}

// DeleteSecGroup removes a security group that no VM uses.
func (c *Cloud) DeleteSecGroup(ctx context.Context, who auth.Caller, id int) error {
	return c.update(ctx, func(tx *store.Tx) error {
		g, ok := tx.SecGroups.Get(id)
		if !ok {
			return errs.NotFound(one.KindSecGroup, id)
		}
		if err := c.allow(&tx.State, who, target(g), one.Manage); err != nil {
			return err
		}
		switch {
		case id == one.DefaultSecGroup:
			return errs.New(errs.Action, "Cannot delete security group. The default security group (ID 0) cannot be deleted.").About(id)
		case tx.SecGroupVMs.Any(id):
			return errs.New(errs.Action, "Cannot delete security group. The security group has VMs using it").About(id)
		}
		tx.DeleteSecGroup(id)
		c.dropRulesOf(tx, one.KindSecGroup, id)
		return nil
	})
}
