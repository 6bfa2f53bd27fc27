package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

func zoneNoun() *noun {
	n := &noun{cmd: "onezone", alias: "zone", short: "Manage zones", pool: zonePool, table: zoneTable, show: showZone}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("zoneid", false, nil),
		{name: "create", short: "Create a zone from a template", args: []arg{file}, example: "create west.tmpl", run: createFromFile("zone.allocate", nil)},
		deleteVerb("zoneid", "deleted"), updateVerb("zoneid", "TEMPLATE", "modified"), renameVerb("zoneid"),
		{name: "enable", short: "Let a zone be changed", args: []arg{selfs("zoneid")}, example: "enable 0", run: method("enable", "enabled", with(true))},
		{name: "disable", short: "Keep a zone from being changed", args: []arg{selfs("zoneid")}, example: "disable 0", run: method("enable", "disabled", with(false))},
		{
			name: "set", short: "Choose the zone that commands talk to", args: []arg{self("zoneid")},
			long:    "The zone's endpoint is written into ~/.one/one_endpoint; with --temporary it is printed only.",
			example: "set 100\nset 100 --temporary",
			flags:   func(f *pflag.FlagSet) { boolean(f, "temporary", "t", "only print how to choose it for one shell") },
			run:     zoneSet,
		},
	}
	return n
}

func zoneSet(c *call) error {
	id := c.subjects()[0]
	n, err := c.doc("zone.info", id)
	if err != nil {
		return err
	}
	core, flow := n.Get("TEMPLATE/ENDPOINT"), n.Get("TEMPLATE/ONEFLOW_ENDPOINT")
	if core == "" {
		return fmt.Errorf("No Endpoint defined for Zone %d", id)
	}
	for _, e := range []struct{ url, file, variable, label string }{
		{core, "one_endpoint", "ONE_XMLRPC", "Endpoint"}, {flow, "oneflow_endpoint", "ONEFLOW_URL", "OneFlow Endpoint"},
	} {
		if e.url == "" {
			continue
		}
		if c.flag("temporary") {
			c.out.Printf("Type: export %s=%s\n", e.variable, e.url)
			continue
		}
		path := filepath.Join(c.env().OneDir(), e.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write endpoint: %w", err)
		}
		if err := os.WriteFile(path, []byte(e.url+"\n"), 0o600); err != nil {
			return fmt.Errorf("write endpoint: %w", err)
		}
		c.out.Printf("%s changed to \"%s\" in %s\n", e.label, e.url, path)
	}
	return nil
}

// raftPatience is how long a listing waits for another zone's state.
const raftPatience = 5 * time.Second

// raftStatus asks a server for its state of replication.
func (c *call) raftStatus(endpoint string) (*doc.Node, error) {
	if _, err := c.core(); err != nil {
		return nil, err
	}
	conf := c.conf
	conf.Endpoint, conf.Timeout = endpoint, min(conf.Timeout, raftPatience)
	s, err := client.NewCore(conf)
	if err != nil {
		return nil, err
	}
	return s.Doc(c.ctx, "zone.raftstatus")
}

func zoneTable(c *call, p *doc.Node) (nodeTable, error) {
	return nodeTable{Columns: []column{
		computed("CURRENT", "the zone commands talk to", 1, func(n *doc.Node) string {
			if strings.TrimSpace(n.Get("TEMPLATE/ENDPOINT")) == strings.TrimSpace(c.conf.Endpoint) {
				return "*"
			}
			return ""
		}),
		idColumn(), nameColumn(15), left(field("ENDPOINT", "address", 45, "TEMPLATE/ENDPOINT")),
		left(computed("FED_INDEX", "how far its copy of what zones share is", 10, func(n *doc.Node) string {
			status, err := c.raftStatus(n.Get("TEMPLATE/ENDPOINT"))
			if err != nil {
				return "-"
			}
			return orDash(status.Get("FEDLOG_INDEX"))
		})),
		left(computed("STAT", "state", 6, func(n *doc.Node) string { return wordAt([]string{"on", "dsbl"}, n.Int("STATE")) })),
	}}, nil
}

func showZone(c *call, n *doc.Node) error {
	p := c.panel(18)
	p.Title("ZONE %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("STATE", wordAt([]string{"ENABLED", "DISABLED"}, n.Int("STATE")))
	p.Blank()
	if servers := n.All("SERVER_POOL/SERVER"); len(servers) > 0 {
		if err := c.showServers(p, servers); err != nil {
			return err
		}
	}
	p.Blank()
	p.Section("ZONE TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	return nil
}

// showServers lists the servers of a zone and what each says of itself.
func (c *call) showServers(p render.Panel, servers []*doc.Node) error {
	p.Blank()
	p.Section("ZONE SERVERS")
	t := nodeTable{Columns: []column{field("ID", "", 2, "ID"), left(field("NAME", "", 15, "NAME")), left(field("ENDPOINT", "", 63, "ENDPOINT"))}}
	if err := t.Print(p.Screen, servers, render.Layout{}); err != nil {
		return err
	}
	p.Blank()
	p.Section("HA & FEDERATION SYNC STATUS")
	said := map[*doc.Node]*doc.Node{}
	for _, s := range servers {
		if status, err := c.raftStatus(s.Get("ENDPOINT")); err == nil { // a server that is down is an error in the table
			said[s] = status
		}
	}
	col := func(name, path string, size int) column {
		return left(computed(name, "", size, func(s *doc.Node) string {
			if said[s] == nil {
				return "-"
			}
			return said[s].Get(path)
		}))
	}
	t = nodeTable{Columns: []column{
		field("ID", "", 2, "ID"), left(field("NAME", "", 15, "NAME")),
		left(computed("STATE", "", 10, func(s *doc.Node) string {
			if said[s] == nil {
				return "error"
			}
			return wordAt([]string{"solo", "candidate", "follower", "leader"}, said[s].Int("STATE"))
		})),
		col("TERM", "TERM", 10), col("INDEX", "LOG_INDEX", 10), col("COMMIT", "COMMIT", 10), col("VOTE", "VOTEDFOR", 5), col("FED_INDEX", "FEDLOG_INDEX", 10),
	}}
	return t.Print(p.Screen, servers, render.Layout{})
}
