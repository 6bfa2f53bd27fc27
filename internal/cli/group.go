package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// groupRights is what members of a new group may create. Source: identity
// reference §8.4.
const groupRights = "VM+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VROUTER+VMGROUP+BACKUPJOB"

func groupNoun() *noun {
	n := &noun{cmd: "onegroup", alias: "group", short: "Manage groups", pool: groupPool, table: groupTable, show: showGroup}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("groupid", true, nil),
		{
			name: "create", short: "Create a group, and an administrator for it", args: []arg{optional(word("group_name"))},
			example: "create testers\ncreate --name testers --admin_user eve --resources TEMPLATE+VM",
			flags: func(f *pflag.FlagSet) {
				text(f, "name", "n", "name of the group")
				text(f, "admin_user", "u", "name of an administrator to create")
				text(f, "admin_password", "p", "password of the administrator; asked for when left out")
				text(f, "admin_driver", "d", "driver that checks the administrator's password")
				text(f, "resources", "r", "what members may create: "+groupRights)
			},
			run: groupCreate,
		},
		deleteVerb("groupid", "deleted"), updateVerb("groupid", "TEMPLATE", "modified"),
		{
			name: "addadmin", short: "Make a member an administrator", args: []arg{selfs("groupid"), of("userid", &userPool)}, example: "addadmin testers eve",
			run: method("addadmin", "admin added", nil),
		},
		{
			name: "deladmin", short: "Make an administrator a plain member", args: []arg{selfs("groupid"), of("userid", &userPool)}, example: "deladmin testers eve",
			run: method("deladmin", "admin deleted", nil),
		},
	}
	n.verbs = append(n.verbs, quotaVerbs("groupid", "group")...)
	return n
}

// groupCreate creates a group, the rules that let members create objects and, if
// asked, its administrator. What cannot be finished is undone.
func groupCreate(c *call) error {
	name := c.text(0)
	if name == "" {
		name = c.str("name")
	}
	if name == "" {
		return fmt.Errorf("Please use either a group name or command arguments. Run onegroup create -h for more information")
	}
	resources := c.str("resources")
	if resources == "" {
		resources = groupRights
	}
	// The group is 0 until it has an id.
	if _, err := groupRule(0, resources); err != nil {
		return err
	}
	password := c.str("admin_password")
	if c.str("admin_user") != "" && password == "" {
		var err error
		if password, err = c.askPassword("Password of the administrator: "); err != nil {
			return err
		}
	}
	r, err := c.do("group.allocate", name)
	if err != nil {
		return err
	}
	if err := c.groupRest(r.Int, resources, password); err != nil {
		if _, undo := c.do("group.delete", r.Int); undo != nil {
			c.say(fmt.Errorf("group %d was created and could not be removed again: %w", r.Int, undo))
		}
		return err
	}
	c.created("ID", r)
	return nil
}

// groupRule lets the members of a group create objects of some kinds.
func groupRule(gid int, resources string) (rule, error) {
	return parseRule(fmt.Sprintf("@%d %s/* CREATE *", gid, resources))
}

func (c *call) groupRest(gid int, resources, password string) error {
	rule, err := groupRule(gid, resources)
	if err != nil {
		return err
	}
	acl, err := c.do("acl.addrule", rule.args()...)
	if err != nil {
		return err
	}
	if err := c.groupAdmin(gid, password); err != nil {
		if _, undo := c.do("acl.delrule", acl.Int); undo != nil {
			c.say(undo)
		}
		return err
	}
	return nil
}

func (c *call) groupAdmin(gid int, password string) error {
	name := c.str("admin_user")
	if name == "" {
		return nil
	}
	driver := c.str("admin_driver")
	if driver == "" {
		driver = "core"
	}
	u, err := c.do("user.allocate", name, password, driver, []int{gid})
	if err != nil {
		return err
	}
	if _, err = c.do("group.addadmin", gid, u.Int); err != nil {
		if _, undo := c.do("user.delete", u.Int); undo != nil {
			c.say(undo)
		}
	}
	return err
}

func groupTable(_ *call, p *doc.Node) (nodeTable, error) {
	cols := []column{idColumn(), nameColumn(29), counted("USERS", "number of members", 5, "USERS/ID")}
	return nodeTable{Columns: append(cols, quotaColumns(p, "DEFAULT_GROUP_QUOTAS")...)}, nil
}

func showGroup(c *call, n *doc.Node) error {
	p := c.panel(15)
	p.Title("GROUP %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Blank()
	p.Section("GROUP TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	p.Blank()
	admins := n.Texts("ADMINS/ID")
	t := nodeTable{Columns: []column{
		field("USER ID", "", 7, ""),
		left(computed("ADMIN", "", 5, func(u *doc.Node) string {
			if slices.Contains(admins, u.Text) {
				return "*"
			}
			return ""
		})),
	}}
	if err := t.Print(p.Screen, n.All("USERS/ID"), render.Layout{}); err != nil {
		return err
	}
	return showQuotas(p, n, "DEFAULT_GROUP_QUOTAS")
}
