package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cli/render"
	"github.com/trifid-cloud/trifid/internal/client/doc"
	"github.com/trifid-cloud/trifid/internal/one"
)

// datastoreTypes and datastoreStates are the words of listings and panels.
// Source: resources reference §4.
var (
	datastoreTypes  = []string{"img", "sys", "fil", "bck"}
	datastoreKinds  = []string{"IMAGE", "SYSTEM", "FILE", "BACKUP"}
	datastoreStates = []string{"on", "off"}
	datastoreLong   = []string{"READY", "DISABLED"}
)

func datastoreNoun() *noun {
	n := &noun{cmd: "onedatastore", alias: "datastore", short: "Manage datastores", pool: datastorePool, table: datastoreTable, show: showDatastore}
	n.verbs = []verb{
		n.listVerb(), n.topVerb(), n.showVerb("datastoreid", false, nil),
		{
			name: "create", short: "Create a datastore from a template", args: []arg{file}, flags: clusterFlag, example: "create fast.tmpl",
			run: createFromFile("datastore.allocate", func(c *call) ([]any, error) {
				id, err := c.cluster()
				return []any{id}, err
			}),
		},
		deleteVerb("datastoreid", "deleted"), updateVerb("datastoreid", "TEMPLATE", "modified"), renameVerb("datastoreid"), chmodVerb("datastoreid", nil),
		{name: "enable", short: "Let a system datastore be used", args: []arg{selfs("datastoreid")}, example: "enable 0", run: method("enable", "enabled", with(true))},
		{name: "disable", short: "Keep a system datastore from being used", args: []arg{selfs("datastoreid")}, example: "disable 0", run: method("enable", "disabled", with(false))},
	}
	n.verbs = append(n.verbs, chownVerbs("datastoreid")...)
	return n
}

// local tells whether a datastore is on each host by itself, so that it has no
// size of its own.
func local(n *doc.Node) bool { return strings.EqualFold(n.Get("TEMPLATE/SHARED"), "NO") }

func datastoreTable(c *call, _ *doc.Node) (nodeTable, error) {
	return nodeTable{
		Columns: []column{
			idColumn(), c.userColumn(8), c.groupColumn(8), nameColumn(15),
			computed("SIZE", "size", 7, func(n *doc.Node) string {
				if local(n) {
					return "-"
				}
				return c.size(n.Int("TOTAL_MB"), 'M')
			}),
			left(computed("AVAIL", "part that is free", 3, func(n *doc.Node) string {
				if n.Int("TOTAL_MB") == 0 {
					return "-"
				}
				return fmt.Sprintf("%d%%", int(math.Round(n.Float("FREE_MB")/n.Float("TOTAL_MB")*100)))
			})),
			left(computed("CLUSTERS", "ids of the clusters", 8, clusterIDs)),
			counted("IMAGES", "number of images", 6, "IMAGES/ID"),
			left(computed("TYPE", "type", 4, func(n *doc.Node) string { return wordAt(datastoreTypes, n.Int("TYPE")) })),
			left(computed("DS", "datastore driver", 7, func(n *doc.Node) string { return orDash(n.Get("DS_MAD")) })),
			left(field("TM", "transfer driver", 7, "TM_MAD")),
			state(left(computed("STAT", "state", 4, func(n *doc.Node) string { return wordAt(datastoreStates, n.Int("STATE")) }))),
		},
		Default: []string{"ID", "NAME", "SIZE", "AVAIL", "CLUSTERS", "IMAGES", "TYPE", "DS", "TM", "STAT"},
	}, nil
}

func showDatastore(c *call, n *doc.Node) error {
	p := c.panel(15)
	p.Title("DATASTORE %s INFORMATION", n.Get("ID"))
	p.Field("ID", n.Get("ID"))
	p.Field("NAME", n.Get("NAME"))
	p.Field("USER", n.Get("UNAME"))
	p.Field("GROUP", n.Get("GNAME"))
	p.Field("CLUSTERS", clusterIDs(n))
	p.Field("TYPE", wordAt(datastoreKinds, n.Int("TYPE")))
	p.Field("DS_MAD", n.Get("DS_MAD"))
	p.Field("TM_MAD", n.Get("TM_MAD"))
	p.Field("BASE PATH", n.Get("BASE_PATH"))
	p.Field("DISK_TYPE", one.DiskType(n.Int("DISK_TYPE")).String())
	p.Field("STATE", wordAt(datastoreLong, n.Int("STATE")))
	p.Blank()
	p.Section("DATASTORE CAPACITY")
	amount := func(path string) string {
		if local(n) || !n.Has(path) {
			return "-"
		}
		return render.Size(n.Int(path), 'M')
	}
	p.Field("TOTAL:", amount("TOTAL_MB"))
	p.Field("FREE:", amount("FREE_MB"))
	p.Field("USED: ", amount("USED_MB"))
	p.Field("LIMIT:", amount("TEMPLATE/LIMIT_MB"))
	p.Blank()
	p.Permissions(n)
	p.Blank()
	p.Section("DATASTORE TEMPLATE")
	p.Println(doc.TemplateText(n.At("TEMPLATE")))
	p.Blank()
	p.IDs("IMAGES", n.Texts("IMAGES/ID"))
	return nil
}
