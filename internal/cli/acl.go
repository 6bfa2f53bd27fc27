package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

func aclNoun() *noun {
	n := &noun{cmd: "oneacl", alias: "acl", short: "Manage access control rules", pool: aclPool, table: aclTable}
	n.verbs = []verb{
		n.listVerb(),
		{
			name: "create", short: "Add a rule", args: []arg{word("rule"), optional(word("resource")), optional(word("rights")), optional(word("zone"))},
			long: `A rule is "<user> <resources>/<which> <rights> [<zone>]", or the same four as hexadecimal numbers, one argument each.
  user       #<id> of a user, @<id> of a group, * everybody
  resources  joined by +: VM HOST NET IMAGE USER TEMPLATE GROUP DATASTORE CLUSTER DOCUMENT ZONE SECGROUP VDC
             VROUTER MARKETPLACE MARKETPLACEAPP VMGROUP VNTEMPLATE BACKUPJOB
  which      #<id> one, @<id> those of a group, %<id> those of a cluster, * all
  rights     joined by +: USE MANAGE ADMIN CREATE
  zone       #<id> or *; the local zone when left out`,
			example: "create \"@1 VM+IMAGE/* CREATE *\"\ncreate \"#5 HOST/%100 MANAGE\"",
			run:     aclCreate,
		},
		{
			name: "delete", short: "Delete rules", args: []arg{selfs("aclid")}, example: "delete 7\ndelete 7..9",
			run: func(c *call) error {
				return c.each("deleted", func(id int) error {
					_, err := c.do("acl.delrule", id)
					return err
				})
			},
		},
	}
	return n
}

func aclCreate(c *call) error {
	var args []any
	switch len(c.raw) {
	case 1:
		rule, err := parseRule(c.text(0))
		if err != nil {
			return err
		}
		args = rule.args()
	case 3, 4:
		for _, a := range c.raw {
			args = append(args, a)
		}
	default:
		return fmt.Errorf("Wrong number of arguments, must be 1 or 4")
	}
	r, err := c.do("acl.addrule", args...)
	if err == nil {
		c.created("ID", r)
	}
	return err
}

// rule is an ACL rule as the protocol numbers it. Source: identity reference §7.
type rule struct {
	user, resource, rights uint64
	zone                   uint64
	anyZone                bool // no zone was given: the local one
}

// args are the arguments of acl.addrule: hexadecimal numbers.
func (r rule) args() []any {
	hex := func(n uint64) string { return strconv.FormatUint(n, 16) }
	out := []any{hex(r.user), hex(r.resource), hex(r.rights)}
	if !r.anyZone {
		out = append(out, hex(r.zone))
	}
	return out
}

// ruleKinds are the resources a rule can name. Source: identity reference §7.1.
var ruleKinds = []one.Kind{
	one.KindVM, one.KindHost, one.KindNet, one.KindImage, one.KindUser, one.KindTemplate, one.KindGroup, one.KindDatastore, one.KindCluster,
	one.KindDocument, one.KindZone, one.KindSecGroup, one.KindVDC, one.KindVRouter, one.KindMarket, one.KindMarketApp, one.KindVMGroup,
	one.KindVNTemplate, one.KindBackupJob,
}

// parseRule reads a rule's text, in any case. All that is wrong is told at once.
func parseRule(text string) (rule, error) {
	parts := strings.Fields(text)
	if len(parts) != 3 && len(parts) != 4 {
		return rule{}, fmt.Errorf("String needs three components: User, Resource, Rights")
	}
	var wrong []string
	read := func(n uint64, err error) uint64 {
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		return n
	}
	r := rule{user: read(selector(parts[0], "#@*")), resource: read(ruleResource(parts[1])), rights: read(ruleRights(parts[2])), anyZone: true}
	if len(parts) == 4 {
		r.zone, r.anyZone = read(selector(parts[3], "#*")), false
	}
	if len(wrong) > 0 {
		return rule{}, fmt.Errorf("%s", strings.Join(wrong, ", "))
	}
	return r, nil
}

func ruleResource(s string) (uint64, error) {
	types, which, ok := strings.Cut(s, "/")
	if !ok || strings.Contains(which, "/") {
		return 0, fmt.Errorf("Resource '%s' malformed", s)
	}
	var n uint64
next:
	for t := range strings.SplitSeq(types, "+") {
		for _, k := range ruleKinds {
			if strings.EqualFold(k.String(), t) {
				n |= k.ACLType()
				continue next
			}
		}
		return 0, fmt.Errorf("Resource '%s' does not exist", t)
	}
	id, err := selector(which, "#@%*")
	return n | id, err
}

func ruleRights(s string) (uint64, error) {
	var n uint64
next:
	for w := range strings.SplitSeq(s, "+") {
		for _, r := range []one.Right{one.Use, one.Manage, one.Admin, one.Create} {
			if strings.EqualFold(r.String(), w) {
				n |= uint64(r)
				continue next
			}
		}
		return 0, fmt.Errorf("Right '%s' does not exist", w)
	}
	return n, nil
}

// selector reads #id, @id, %id or *, as far as allowed.
func selector(s, allowed string) (uint64, error) {
	bits := map[byte]uint64{'#': one.ACLIndividual, '@': one.ACLGroup, '%': one.ACLCluster, '*': one.ACLAll}
	if s == "" || !strings.Contains(allowed, s[:1]) {
		return 0, fmt.Errorf("ID string '%s' malformed", s)
	}
	if s == "*" {
		return one.ACLAll, nil
	}
	id, ok := digits(s[1:])
	if !ok || s[0] == '*' || id > 1<<31-1 {
		return 0, fmt.Errorf("ID string '%s' malformed", s)
	}
	return bits[s[0]] | uint64(id), nil
}

// ruleMask is the heading of the types' column: a letter for each of ruleKinds.
// Source: identity reference §7.2.
const ruleMask = "VHNIUTGDCOZSvRMAPtB"

func aclTable(_ *call, _ *doc.Node) (nodeTable, error) {
	part := func(n *doc.Node, i int) string {
		if parts := strings.Fields(n.Get("STRING")); i < len(parts) {
			return parts[i]
		}
		return ""
	}
	types := func(n *doc.Node) string {
		words, _, _ := strings.Cut(part(n, 1), "/")
		mask := []byte(strings.Repeat("-", len(ruleMask)))
		for i, k := range ruleKinds {
			if i < len(mask) && has(words, k.String()) {
				mask[i] = ruleMask[i]
			}
		}
		return string(mask)
	}
	rights := func(n *doc.Node) string {
		mask := []byte("----")
		for i, r := range []one.Right{one.Use, one.Manage, one.Admin, one.Create} {
			if has(part(n, 2), r.String()) {
				mask[i] = "umac"[i]
			}
		}
		return string(mask)
	}
	return nodeTable{
		Columns: []column{
			adjust(field("ID", "number of the rule", 4, "ID")),
			computed("USER", "whom it is for", 8, func(n *doc.Node) string { return part(n, 0) }),
			computed("RES_"+ruleMask, "kinds of resource", 23, types),
			computed("RID", "which of them", 5, func(n *doc.Node) string { _, which, _ := strings.Cut(part(n, 1), "/"); return which }),
			computed("OPE_UMAC", "rights", 8, rights),
			computed("ZONE", "zone", 5, func(n *doc.Node) string { return part(n, 3) }),
			left(adjust(field("STRING", "the rule as text", 5, "STRING"))),
		},
		Default: []string{"ID", "USER", "RES_" + ruleMask, "RID", "OPE_UMAC", "ZONE"},
	}, nil
}

// has tells whether a word is one of those joined by +.
func has(joined, word string) bool {
	return slices.Contains(strings.Split(joined, "+"), word)
}
