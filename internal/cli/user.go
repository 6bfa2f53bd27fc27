package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func userNoun() *noun {
	n := &noun{cmd: "oneuser", alias: "user", short: "Manage users", pool: userPool, table: userTable, show: showUser}
	group := func(name, method1, short, done string) verb {
		return verb{name: name, short: short, args: []arg{selfs("userid"), of("groupid", &groupPool)}, example: name + " ana testers", run: method(method1, done, nil)}
	}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("userid", true, nil),
		{
			name: "create", short: "Create a user", args: []arg{word("username"), optional(word("password"))},
			long:    "Without a password on the command line it is read from a file or asked for, so that it is in no process list.",
			example: "create ana\ncreate ana --read-file secret.txt --group users,testers\ncreate ana --driver ldap",
			flags: flagsOf(passwordFlags, func(f *pflag.FlagSet) {
				text(f, "group", "", "groups by name or id, separated by commas; the first is the primary one")
			}),
			run: userCreate,
		},
		deleteVerb("userid", "deleted"), updateVerb("userid", "TEMPLATE", "modified"),
		{
			name: "passwd", short: "Change a password", args: []arg{self("userid"), optional(word("password"))}, flags: passwordFlags, example: "passwd ana",
			run: method("passwd", "Password changed", func(c *call) ([]any, error) {
				p, err := c.password(1, true)
				return []any{p}, err
			}),
		},
		{
			name: "chauth", short: "Change the driver that checks the password", args: []arg{self("userid"), optional(word("auth")), optional(word("password"))},
			flags: passwordFlags, example: "chauth ana core new-password\nchauth ana --driver ldap",
			run: method("chauth", "Auth driver and password changed", func(c *call) ([]any, error) {
				driver := c.str("driver")
				if driver == "" {
					driver = c.text(1)
				}
				if driver == "" {
					return nil, fmt.Errorf("An Auth driver should be specified")
				}
				if !c.given(2) {
					return []any{driver, ""}, nil // which keeps the password
				}
				p, err := c.password(2, false)
				return []any{driver, p}, err
			}),
		},
		group("chgrp", "chgrp", "Change the primary group", "Group changed"),
		group("addgroup", "addgroup", "Add to a secondary group", "group added"),
		group("delgroup", "delgroup", "Take out of a secondary group", "group deleted"),
		{name: "enable", short: "Let users log in", args: []arg{selfs("userid")}, example: "enable ana", run: method("enable", "enabled", with(true))},
		{name: "disable", short: "Keep users from logging in", args: []arg{selfs("userid")}, example: "disable ana", run: method("enable", "disabled", with(false))},
		{name: "umask", short: "Set the permissions new objects are denied", args: []arg{selfs("userid"), optional(word("mask"))}, example: "umask ana 137", run: umask},
		{
			name: "encode", short: "Write credentials so that any character may be in them", args: []arg{word("username"), optional(word("password"))},
			example: "encode 'cn=Ana Gil' 'a:b'",
			run: func(c *call) error {
				parts := make([]string, len(c.raw))
				for i, s := range c.raw {
					parts[i] = escape(s)
				}
				c.out.Println(strings.Join(parts, ":"))
				return nil
			},
		},
		{
			name: "passwdsearch", short: "Find users by driver and stored password", args: []arg{word("driver"), word("password")}, example: "passwdsearch x509 /CN=ana",
			flags: flagsOf(layoutFlags, n.formatFlags), run: passwordSearch,
		},
	}
	n.verbs = append(n.verbs, quotaVerbs("userid", "user")...)
	n.verbs = append(n.verbs, tokenVerbs()...)
	return n
}

func passwordFlags(f *pflag.FlagSet) {
	boolean(f, "read-file", "r", "the password argument is the name of a file that holds it")
	boolean(f, "sha256", "", "accepted for compatibility: the server hashes passwords itself")
	text(f, "driver", "", "driver that checks the password: core, public, ssh, x509, ldap")
	boolean(f, "ssh", "", "the same as --driver ssh")
	boolean(f, "x509", "", "the same as --driver x509")
}

// driver is the driver the flags name, core by default.
func (c *call) driver() string {
	switch {
	case c.str("driver") != "":
		return c.str("driver")
	case c.flag("ssh"):
		return "ssh"
	case c.flag("x509"):
		return "x509"
	}
	return "core"
}

// password returns the password of the i-th argument, of the file it names, or
// what is typed. A driver other than core may do without one unless it must.
func (c *call) password(i int, must bool) (string, error) {
	switch {
	case c.given(i) && c.flag("read-file"):
		t, err := c.readFile(c.text(i))
		line, _, _ := strings.Cut(t, "\n")
		return strings.TrimRight(line, "\r"), err
	case c.given(i):
		return c.text(i), nil
	case !must && c.driver() != "core":
		return "", nil
	}
	return c.askPassword("New password: ")
}

func userCreate(c *call) error {
	password, err := c.password(1, false)
	if err != nil {
		return err
	}
	groups := []int{}
	for _, g := range c.list("group") {
		id, err := c.id(&groupPool, g)
		if err != nil {
			return err
		}
		groups = append(groups, id)
	}
	r, err := c.do("user.allocate", c.text(0), password, c.driver(), groups)
	if err == nil {
		c.created("ID", r)
	}
	return err
}

// umask sets or, without a mask, removes UMASK of the user template.
func umask(c *call) error {
	if m := c.text(1); m != "" && (len(m) > 3 || strings.Trim(m, "01234567") != "") {
		return fmt.Errorf("mask %q: expected three octal digits", m)
	}
	return c.each("umask changed", func(id int) error {
		n, err := c.doc("user.info", id)
		if err != nil {
			return err
		}
		t := textOf(n.At("TEMPLATE").Without("UMASK"))
		if c.text(1) != "" {
			t += "\nUMASK=" + quoted(c.text(1))
		}
		_, err = c.do("user.update", id, t, 0)
		return err
	})
}

// escape writes what is not plain in a URL as %XX.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'();/?:@&=+$,[]", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func passwordSearch(c *call) error {
	p, err := c.fetch(&userPool, 0, 0)
	if err != nil {
		return err
	}
	keep := func(u *doc.Node) bool {
		return u.Get("AUTH_DRIVER") == c.text(0) && u.Get("PASSWORD") == c.text(1)
	}
	var kids []*doc.Node
	for _, k := range p.Kids {
		if k.Name == "USER" && keep(k) {
			kids = append(kids, k)
		}
	}
	if printed, err := c.formatted(&doc.Node{Name: p.Name, Kids: kids}); printed {
		return err
	}
	l, err := c.layout()
	if err != nil {
		return err
	}
	if len(l.List) == 0 {
		l.List = []string{"ID", "NAME", "AUTH", "PASSWORD"}
	}
	return c.printRows(p, l, keep)
}

func userTable(c *call, p *doc.Node) (nodeTable, error) {
	group := c.groupColumn(10)
	cols := []column{
		idColumn(), nameColumn(15),
		left(computed("ENABLED", "whether the user may log in", 4, func(n *doc.Node) string {
			if n.Get("ENABLED") == "1" {
				return "yes"
			}
			return "no"
		})),
		group, left(field("AUTH", "driver that checks the password", 8, "AUTH_DRIVER")),
	}
	cols = append(cols, quotaColumns(p, "DEFAULT_USER_QUOTAS")...)
	return nodeTable{
		Columns: append(cols, field("PASSWORD", "stored password", 50, "PASSWORD")),
		Default: []string{"ID", "NAME", "ENABLED", "GROUP", "AUTH", "VMS", "MEMORY", "CPU"},
	}, nil
}

func showUser(c *call, n *doc.Node) error {
	p := c.panel(16)
	p.Title("USER %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("GROUP", n.Get("GNAME"))
	if groups := n.Texts("GROUPS/ID"); len(groups) > 1 {
		p.Field("SECONDARY GROUPS", strings.Join(groups, ","))
	}
	p.Field("PASSWORD", n.Get("PASSWORD"))
	p.Field("AUTH_DRIVER", n.Get("AUTH_DRIVER"))
	p.Field("ENABLED", render.YesNo(n.Get("ENABLED") == "1"))
	p.Blank()
	p.Section("TOKENS")
	if err := c.showTokens(p, n); err != nil {
		return err
	}
	p.Blank()
	p.Section("USER TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	return showQuotas(p, n, "DEFAULT_USER_QUOTAS")
}

func (c *call) showTokens(p render.Panel, n *doc.Node) error {
	tokens := n.All("LOGIN_TOKEN")
	if len(tokens) == 0 {
		return nil
	}
	// group is the group a token is good for: its own, else the primary one.
	group := func(t *doc.Node) (id string, all bool) {
		if t.Get("EGID") == "-1" {
			return n.Get("GID"), true
		}
		return t.Get("EGID"), false
	}
	t := nodeTable{Columns: []column{
		field("ID", "", 7, "TOKEN"),
		left(computed("EGID", "", 5, func(t *doc.Node) string {
			id, all := group(t)
			if all {
				return "*" + id
			}
			return id
		})),
		left(computed("EGROUP", "", 10, func(t *doc.Node) string {
			id, all := group(t)
			if all {
				return n.Get("GNAME")
			}
			gid, err := strconv.Atoi(id)
			if err != nil {
				return "-"
			}
			g, err := c.doc("group.info", gid)
			if err != nil {
				return "-"
			}
			return g.Get("NAME")
		})),
		left(computed("EXPIRATION", "", 20, func(t *doc.Node) string { return c.expiry(t.Int("EXPIRATION_TIME")) })),
	}}
	return t.Print(p.Screen, tokens, render.Layout{})
}

func (c *call) expiry(epoch int64) string {
	switch {
	case epoch == -1:
		return "forever"
	case epoch <= c.now():
		return "expired"
	}
	return time.Unix(epoch, 0).In(c.io.Zone).Format("2006-01-02 15:04:05")
}

// writePrivate writes a file with a secret, for the user alone.
func writePrivate(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
