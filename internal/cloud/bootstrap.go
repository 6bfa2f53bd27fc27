package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/gatetoken"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Bootstrap is what a fresh cloud begins with.
type Bootstrap struct {
	Oneadmin    string // password of user 0
	Serveradmin string // secret of user 1: server_cipher keys are made from it
	ZoneName    string
	Endpoint    string // of the zone's XML-RPC
	// SafeDirs bounds which local paths may be registered as images.
	SafeDirs string
	// Driver names the transfer driver of the default datastores: "ssh" as in the
	// original, "dummy" for a cloud without hardware.
	Driver string
}

// Bootstrap creates the objects of a fresh installation in an empty store, and
// does nothing in one that has them. Source: XML-RPC reference §5.
func (c *Cloud) Bootstrap(ctx context.Context, b Bootstrap) error {
	if c.store.View().Users.Len() > 0 {
		return nil
	}
	hash, err := auth.HashPassword(b.Oneadmin)
	if err != nil {
		return err
	}
	return c.update(ctx, func(tx *store.Tx) error {
		if tx.Users.Len() > 0 {
			return nil
		}
		if err := c.bootstrapUsers(tx, hash, b.Serveradmin); err != nil {
			return err
		}
		c.bootstrapResources(tx, b)
		for _, r := range defaultRules(c.cfg.Zone) {
			r.ID = tx.NextID("acl", 0)
			tx.PutACL(&r)
		}
		return nil
	})
}

// adminMeta is the header of what belongs to oneadmin.
func adminMeta(id int, name string, perms one.Perms) one.Meta {
	return one.Meta{ID: id, UName: "oneadmin", GName: "oneadmin", Name: name, Perms: perms}
}

func (c *Cloud) bootstrapUsers(tx *store.Tx, oneadminHash, serverSecret string) error {
	tx.PutGroup(&one.Group{ID: one.OneadminID, Name: "oneadmin"})
	tx.PutGroup(&one.Group{ID: one.UsersGroupID, Name: "users", Template: tmpl.New(tmpl.Vec("SUNSTONE",
		"DEFAULT_VIEW", "cloud", "GROUP_ADMIN_DEFAULT_VIEW", "groupadmin", "GROUP_ADMIN_VIEWS", "groupadmin,cloud", "VIEWS", "cloud"))})
	for _, u := range []one.User{
		{ID: one.OneadminID, Name: "oneadmin", Password: oneadminHash, AuthDriver: "core"},
		{ID: one.ServeradminID, Name: "serveradmin", Password: gatetoken.ServerKey(serverSecret), AuthDriver: "server_cipher"},
	} {
		token, err := RandomHex(32)
		if err != nil {
			return err
		}
		u.Groups, u.GName = []int{one.OneadminID}, "oneadmin"
		u.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", token))
		tx.PutUser(&u)
	}
	setCounter(tx, "user", 2)
	setCounter(tx, "group", one.FirstCustomID)
	return nil
}

// setCounter makes the next id of a kind.
func setCounter(tx *store.Tx, name string, next int) {
	for tx.Counters.At(name) < next {
		tx.NextID(name, next-1)
	}
}

func (c *Cloud) bootstrapResources(tx *store.Tx, b Bootstrap) {
	reserved := tmpl.New(tmpl.Single("RESERVED_CPU", ""), tmpl.Single("RESERVED_MEM", ""))
	tx.PutCluster(&one.Cluster{ID: one.DefaultCluster, Name: "default", Template: reserved})
	for _, d := range []struct {
		id   int
		name string
		typ  one.DatastoreType
	}{{one.SystemDS, "system", one.DSSystem}, {one.DefaultDS, "default", one.DSImage}, {one.FilesDS, "files", one.DSFile}} {
		ds := &one.Datastore{
			Meta: adminMeta(d.id, d.name, 0o640), TMMad: b.Driver, BasePath: c.basePath(d.id), Type: d.typ, ClusterIDs: []int{one.DefaultCluster},
		}
		ds.Template = tmpl.New(tmpl.Single("TYPE", d.typ.String()), tmpl.Single("TM_MAD", b.Driver))
		if d.typ != one.DSSystem {
			ds.DSMad = "fs"
			if b.Driver == "dummy" {
				ds.DSMad = "dummy"
			}
			ds.Template = ds.Template.With("DS_MAD", ds.DSMad).With("SAFE_DIRS", b.SafeDirs).With("RESTRICTED_DIRS", "/")
		}
		ds.Template = withTransferDefaults(ds.Template, b.Driver)
		tx.PutDatastore(ds)
	}
	rule := func(way string) tmpl.Attr { return tmpl.Vec("RULE", "PROTOCOL", "ALL", "RULE_TYPE", way) }
	tx.PutSecGroup(&one.SecurityGroup{Meta: adminMeta(one.DefaultSecGroup, "default", 0o644), Template: tmpl.New(
		tmpl.Single("DESCRIPTION", "The default security group is added to every network. Use it to add default filter rules for your networks. You may remove this security group from any network by updating its properties."),
		rule("OUTBOUND"), rule("INBOUND"))})
	tx.PutZone(&one.Zone{ID: c.cfg.Zone, Name: b.ZoneName, Template: tmpl.New(tmpl.Single("ENDPOINT", b.Endpoint))})
	tx.PutVDC(&one.VDC{ID: one.DefaultVDC, Name: "default", Groups: []int{one.UsersGroupID}, Clusters: []one.VDCEntry{{Zone: c.cfg.Zone, ID: one.AllResources}}})
	for _, k := range []string{"cluster", "datastore", "secgroup", "zone", "vdc"} {
		setCounter(tx, k, one.FirstCustomID)
	}
}

// transferDefaults are the properties of the transfer drivers that datastores
// take over. Source: resources reference §4.1.
var transferDefaults = map[string][]string{
	"dummy":  {"CLONE_TARGET", "SYSTEM", "LN_TARGET", "NONE", "SHARED", "YES", "DISK_TYPE", "FILE"},
	"shared": {"CLONE_TARGET", "SYSTEM", "LN_TARGET", "NONE", "SHARED", "YES", "ALLOW_ORPHANS", "FORMAT", "DISK_TYPE", "FILE"},
	"qcow2":  {"CLONE_TARGET", "SYSTEM", "LN_TARGET", "NONE", "SHARED", "YES", "ALLOW_ORPHANS", "FORMAT", "DISK_TYPE", "FILE", "DRIVER", "qcow2"},
	"ssh":    {"CLONE_TARGET", "SYSTEM", "LN_TARGET", "SYSTEM", "SHARED", "NO", "ALLOW_ORPHANS", "YES", "DISK_TYPE", "FILE"},
	"local":  {"CLONE_TARGET", "SYSTEM", "LN_TARGET", "SYSTEM", "SHARED", "NO", "ALLOW_ORPHANS", "YES", "DISK_TYPE", "FILE"},
}

// withTransferDefaults adds the properties of a datastore's transfer driver.
// System datastores hold no images: what concerns clones is not for them.
func withTransferDefaults(t *tmpl.Template, driver string) *tmpl.Template {
	props := transferDefaults[driver]
	system := t.Get("TYPE") == one.DSSystem.String()
	for i := 0; i+1 < len(props); i += 2 {
		k := props[i]
		onlyImages := k == "CLONE_TARGET" || k == "LN_TARGET" || k == "DRIVER"
		onlySystem := k == "SHARED"
		if t.Has(k) || onlyImages && system || onlySystem && !system {
			continue
		}
		t = t.With(k, props[i+1])
	}
	return t
}

// basePath is where a datastore is on the hosts.
func (c *Cloud) basePath(id int) string { return c.cfg.DatastoreDir + "/" + itoa(id) }

// defaultRules are the ACL rules of a fresh installation: what group "users" may
// create, what everybody may see, and what VDC 0 gives.
// Source: identity reference §7.5.
func defaultRules(zone int) []one.ACLRule {
	users := one.ACLGroup | one.UsersGroupID
	local := one.ACLIndividual | uint64(zone)
	types := func(ks ...one.Kind) uint64 {
		n := one.ACLAll
		for _, k := range ks {
			n |= k.ACLType()
		}
		return n
	}
	return []one.ACLRule{
		{User: users, Resource: types(one.KindVM, one.KindImage, one.KindTemplate, one.KindDocument, one.KindSecGroup, one.KindVMGroup, one.KindBackupJob), Rights: uint64(one.Create), Zone: one.ACLAll},
		{User: one.ACLAll, Resource: types(one.KindZone), Rights: uint64(one.Use), Zone: one.ACLAll},
		{User: one.ACLAll, Resource: types(one.KindMarket, one.KindMarketApp), Rights: uint64(one.Use), Zone: one.ACLAll},
		{User: users, Resource: types(one.KindHost), Rights: uint64(one.Manage), Zone: local},
		{User: users, Resource: types(one.KindNet), Rights: uint64(one.Use), Zone: local},
		{User: users, Resource: types(one.KindDatastore), Rights: uint64(one.Use), Zone: local},
	}
}

// RandomHex returns n random bytes in hex.
func RandomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make a random secret: %w", err)
	}
	return hex.EncodeToString(b), nil
}
