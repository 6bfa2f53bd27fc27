package gateapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// world is a cloud with one of everything that guests can be related by. Its
// owner is an ordinary user.
type world struct {
	*gateRig
	ana, eve *one.User

	lone, other      *one.VM // of nobody's
	web0, web1, db0  *one.VM // of service 0
	forged           *one.VM // says that it is of service 0 and is not
	routerA, routerB *one.VM // of router 0
	stranger         *one.VM // eve's
	hidden           *one.VM // of service 0, but eve's

	net, reserved, sibling, parent, away int // networks
}

func newWorld(t testing.TB, s settings) *world {
	w := &world{gateRig: newRig(t, s)}
	w.ana, w.eve = w.user("ana"), w.user("eve")
	meta := func(id int, name string) one.Meta {
		return one.Meta{ID: id, UID: w.ana.ID, GID: w.ana.GID, UName: "ana", GName: "users", Name: name, Perms: 0o600}
	}
	w.Do(func(tx *store.Tx) {
		// The documents take the ids 0 and 1.
		tx.PutDocument(&one.Document{Meta: meta(tx.NextID("document", 0), "shop"), Type: one.DocService})
		tx.PutService(&one.Service{ID: 0, State: one.ServiceRunning, Roles: []one.Role{
			{Name: "web", State: one.RoleRunning, Cardinality: 2}, {Name: "db", State: one.RoleScaling, Cardinality: 1}, {Name: "spare", State: one.RoleRunning},
		}})
		tx.PutDocument(&one.Document{Meta: meta(tx.NextID("document", 0), "bare"), Type: one.DocService})
		tx.PutService(&one.Service{ID: 1, State: one.ServicePending})
		vnet := func(name string, parent int) int {
			id := tx.NextID("vnet", 0)
			tx.PutVNet(&one.VNet{Meta: meta(id, name), ParentID: parent, State: one.VNetReady, Template: tmpl.New(
				tmpl.Single("DNS", "10.2.0.1"), tmpl.Single("NETWORK_ADDRESS", "10.2.0.0"), tmpl.Single("SECRET", "x"), tmpl.Single("BRIDGE", "br0"))})
			return id
		}
		w.parent = vnet("parent", -1)
		w.net = vnet("net", w.parent)
		w.reserved = vnet("reserved", w.net)
		w.sibling = vnet("sibling", w.parent)
		w.away = vnet("away", -1)
		tx.PutVRouter(&one.VRouter{Meta: meta(tx.NextID("vrouter", 0), "gw"), Template: tmpl.New(
			tmpl.Single("TEMPLATE_ID", "0"), tmpl.Vec("NIC", "NETWORK_ID", itoa(w.net), "NETWORK", "net", "NIC_ID", "0", "FLOATING_IP", "YES", "IP", "10.2.0.9"))})
	})
	w.lone, w.other = w.vm(w.ana, nil), w.vm(w.ana, nil)
	in := func(role string) func(*one.VM) {
		return func(v *one.VM) {
			v.ServiceID, v.Role = 0, role
			v.UserTemplate = tmpl.New(tmpl.Single("SERVICE_ID", "0"), tmpl.Single("ROLE_NAME", role))
		}
	}
	w.web0, w.web1, w.db0 = w.vm(w.ana, in("web")), w.vm(w.ana, in("web")), w.vm(w.ana, in("db"))
	w.forged = w.vm(w.ana, func(v *one.VM) { v.UserTemplate = tmpl.New(tmpl.Single("SERVICE_ID", "0")) })
	router := func(v *one.VM) {
		v.VRouterID = 0
		v.Template = v.Template.With("VROUTER_ID", "0")
	}
	w.routerA, w.routerB = w.vm(w.ana, router), w.vm(w.ana, router)
	w.stranger = w.vm(w.eve, nil)
	w.hidden = w.vm(w.eve, in("web"))
	return w
}

// The texts of the reference, §1.14.
const (
	textUnknown   = "OneGate server doesn't support this feature"
	textAlone     = "This VM does not belong to any Virtual Router or Service, so it cannot retrieve information from other VMs"
	textNotRouter = "Virtual networks information can only be retrieved from Virtual Routers."
)

// TestAuthorization is the table of who may do what to whom: every route, every
// kind of caller, every kind of target. A cell is what comes back.
func TestAuthorization(t *testing.T) {
	w := newWorld(t, settings{})
	callers := []struct {
		name string
		vm   *one.VM
	}{{"lone", w.lone}, {"service", w.web0}, {"forged", w.forged}, {"router", w.routerA}, {"hidden", w.hidden}}
	targets := []struct {
		name string
		vm   int
	}{
		{"lone", w.lone.ID}, {"other", w.other.ID}, {"web1", w.web1.ID}, {"db0", w.db0.ID}, {"forged", w.forged.ID},
		{"routerB", w.routerB.ID}, {"stranger", w.stranger.ID}, {"hidden", w.hidden.ID}, {"nobody", 999},
	}
	routes := []struct{ name, method, path, body string }{
		{"show", "GET", "/vms/%", ""}, {"update", "PUT", "/vms/%", "BY_!=1"}, {"act", "POST", "/vms/%/action", `{"action":{"perform":"resume"}}`},
	}
	// By caller and target; a target that is the caller's own is asked apart.
	alone := "400 " + textAlone
	outside := "400 Service 0 does not contain VM %."
	notIn := "400 Virtual Router 0 does not contain VM %."
	denied := "404 [one.vm.info] User [2] : Not authorized to perform USE VM [%]."
	want := map[string]map[string]string{
		"lone":    {"": alone, "lone": "ok"},
		"service": {"": outside, "web1": "ok", "db0": "ok", "hidden": denied},
		"forged":  {"": "400 Service 0 does not contain VM " + itoa(w.forged.ID) + ".", "forged": "ok"},
		"router":  {"": notIn, "routerB": "ok"},
		// Its owner may not see the service it is in.
		"hidden": {"": "404 Service 0 not found", "hidden": "ok"},
	}
	for _, c := range callers {
		for _, target := range targets {
			cell, ok := want[c.name][target.name]
			if !ok {
				cell = want[c.name][""]
			}
			cell = strings.ReplaceAll(cell, "%", itoa(target.vm))
			for _, route := range routes {
				a := w.ask(c.vm, route.method, strings.ReplaceAll(route.path, "%", itoa(target.vm)), strings.ReplaceAll(route.body, "!", c.name))
				got := itoa(a.status) + " " + a.body
				if cell == "ok" {
					switch {
					case route.name == "show" && a.status == 200 && strings.Contains(a.body, `"ID":"`+itoa(target.vm)+`"`):
					case route.name == "update" && got == "200 ":
					case route.name == "act" && got == `500 [one.vm.action] Error performing action "resume": This action is not available for state RUNNING`:
					default:
						t.Errorf("%s may %s %s: %s", c.name, route.name, target.name, got)
					}
				} else if got != cell {
					t.Errorf("%s may not %s %s: %s, want %s", c.name, route.name, target.name, got, cell)
				}
			}
			v, there := w.Store.View().VM(target.vm)
			if changed := there && v.UserTemplate.Has("BY_"+strings.ToUpper(c.name)); changed != (cell == "ok") {
				t.Errorf("%s changed %s: %t", c.name, target.name, changed)
			}
		}
		for _, route := range []struct{ method, path, body string }{{"GET", "/vm", ""}, {"PUT", "/vm", "T=1"}, {"PUT", "/vm/" + itoa(c.vm.ID), "T=1"}, {"GET", "/", ""}} {
			if a := w.ask(c.vm, route.method, route.path, route.body); a.status != 200 {
				t.Errorf("%s %s %s: %d %s", c.name, route.method, route.path, a.status, a.body)
			}
		}
	}
	for _, c := range []struct {
		vm                   *one.VM
		method, path, answer string
	}{
		{w.lone, "GET", "/service", "400 Empty or invalid SERVICE_ID"},
		{w.web0, "GET", "/service", ""},
		{w.forged, "GET", "/service", "400 Service 0 does not contain VM " + itoa(w.forged.ID) + "."},
		{w.hidden, "GET", "/service", "404 Service 0 not found"},
		{w.routerA, "GET", "/service", "400 Empty or invalid SERVICE_ID"},
		{w.lone, "GET", "/vrouter", "400 Empty or invalid VROUTER_ID"},
		{w.web0, "GET", "/vrouter", "400 Empty or invalid VROUTER_ID"},
		{w.routerA, "GET", "/vrouter", ""},
		{w.lone, "GET", "/vnet/" + itoa(w.net), "400 " + textNotRouter},
		{w.web0, "GET", "/vnet/" + itoa(w.net), "400 " + textNotRouter},
		{w.routerA, "GET", "/vnet/" + itoa(w.net), ""},
		{w.routerA, "GET", "/vnet/" + itoa(w.parent), ""},
		{w.routerA, "GET", "/vnet/" + itoa(w.reserved), ""},
		{w.routerA, "GET", "/vnet/" + itoa(w.sibling), ""},
		{w.routerA, "GET", "/vnet/" + itoa(w.away), "400 Virtual Network " + itoa(w.away) + " cannot be retrieved from Virtual router 0."},
		{w.routerA, "GET", "/vnet/99", "404 Virtual network 99 not found"},
		{w.routerA, "GET", "/vnet/abc", "400 Invalid id format (ID: abc). ID must be an integer."},
		{w.lone, "PUT", "/service/role/web", "400 Empty or invalid SERVICE_ID"},
		{w.web0, "PUT", "/service/role/web", ""},
		{w.forged, "PUT", "/service/role/web", "400 Service 0 does not contain VM " + itoa(w.forged.ID) + "."},
	} {
		body := ""
		if c.method == "PUT" {
			body = `{"cardinality":"4"}`
		}
		a := w.ask(c.vm, c.method, c.path, body)
		if got := itoa(a.status) + " " + a.body; c.answer != got && (c.answer != "" || a.status != 200) {
			t.Errorf("VM %d %s %s: %s, want %s", c.vm.ID, c.method, c.path, got, c.answer)
		}
	}
	if len(w.flow.asked) != 1 || w.flow.asked[0] != "ana 0 web 4" {
		t.Errorf("flow was asked %q", w.flow.asked)
	}
}

// A router whose owner may not see one of its networks gets nothing.
func TestRouterOfAnotherOwner(t *testing.T) {
	w := newWorld(t, settings{})
	w.Do(func(tx *store.Tx) {
		n, _ := tx.VNets.Get(w.net)
		m := n.Head()
		m.UID = w.eve.ID
		tx.PutOwned(n.WithHead(m))
	})
	w.want("its network", w.ask(w.routerA, "GET", "/vnet/"+itoa(w.net), ""), 404, "Virtual network "+itoa(w.net)+" not found")
	w.want("another", w.ask(w.routerA, "GET", "/vnet/"+itoa(w.away), ""), 404, "Virtual network "+itoa(w.net)+" not found")
	w.Do(func(tx *store.Tx) {
		r, _ := tx.VRouters.Get(0)
		m := r.Head()
		m.UID = w.eve.ID
		tx.PutOwned(r.WithHead(m))
	})
	w.want("the router", w.ask(w.routerA, "GET", "/vrouter", ""), 404, "Virtual router 0 not found")
	w.want("its peer", w.ask(w.routerA, "GET", "/vms/"+itoa(w.routerB.ID), ""), 404, "Virtual router 0 not found")
}

func TestIdentification(t *testing.T) {
	w := newWorld(t, settings{})
	ok := token(t, w.lone)
	for _, c := range []struct {
		name   string
		path   string
		header []string
		status int
	}{
		{"ordinary", "/vm", nil, 200},
		{"blanks around", "/vm", []string{"X-ONEGATE-TOKEN", " " + ok + " "}, 200},
		{"small letters", "/vm", []string{"X-ONEGATE-TOKEN", "", "x-onegate-token", ok}, 200},
		{"basic authentication beside it", "/vm", []string{"Authorization", "Basic Og=="}, 200},
		{"id with letters behind", "/vm", []string{"X-ONEGATE-VMID", itoa(w.lone.ID) + "x"}, 200},
		{"id in the query", "/vm?id=" + itoa(w.lone.ID), []string{"X-ONEGATE-VMID", ""}, 200},
		{"id in the path", "/vms/" + itoa(w.lone.ID), []string{"X-ONEGATE-VMID", ""}, 200},
		{"no token", "/vm", []string{"X-ONEGATE-TOKEN", ""}, 401},
		{"no id", "/vm", []string{"X-ONEGATE-VMID", ""}, 401},
		{"token of another VM", "/vm", []string{"X-ONEGATE-TOKEN", token(t, w.other)}, 401},
		{"id of another VM", "/vm", []string{"X-ONEGATE-VMID", itoa(w.other.ID)}, 401},
		{"other id in the path", "/vms/" + itoa(w.other.ID), []string{"X-ONEGATE-VMID", ""}, 401},
		{"no such VM", "/vm", []string{"X-ONEGATE-VMID", "999"}, 401},
		{"negative", "/vm", []string{"X-ONEGATE-VMID", "-1"}, 401},
		{"too large a number", "/vm", []string{"X-ONEGATE-VMID", strings.Repeat("9", 400)}, 401},
		{"not base64", "/vm", []string{"X-ONEGATE-TOKEN", "%%%"}, 401},
		{"cut off", "/vm", []string{"X-ONEGATE-TOKEN", ok[:12]}, 401},
		{"too long", "/vm", []string{"X-ONEGATE-TOKEN", strings.Repeat(ok, 100)}, 401},
		{"links too", "/", []string{"X-ONEGATE-TOKEN", ""}, 401},
	} {
		a := w.ask(w.lone, "GET", c.path, "", c.header...)
		if a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.body, c.status)
		}
		if a.status == 401 && a.body != "Not authorized" {
			t.Errorf("%s: %q", c.name, a.body)
		}
	}
	for i := range len(ok) - 2 { // the last two are padding
		bad := []byte(ok)
		bad[i] ^= 1
		if a := w.ask(w.lone, "GET", "/vm", "", "X-ONEGATE-TOKEN", string(bad)); a.status != 401 {
			t.Errorf("byte %d of the token changed: %d", i, a.status)
		}
	}
	// What was verified is remembered, but not longer than it is true.
	w.want("4.x", w.ask(w.lone, "PUT", "/vm/"+itoa(w.lone.ID), "A=1", "X-ONEGATE-VMID", ""), 200, "")
	w.want("4.x, of another VM", w.ask(w.lone, "PUT", "/vm/"+itoa(w.other.ID), "A=1"), 401, "Not authorized")
	w.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(w.ana.ID)
		n := *u
		n.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", strings.Repeat("0", 64)))
		tx.PutUser(&n)
	})
	w.want("other password", w.ask(w.lone, "GET", "/vm", ""), 401, "Not authorized")
	w.Do(func(tx *store.Tx) {
		u, _ := tx.Users.Get(w.ana.ID)
		n := *u
		n.Template = tmpl.New(tmpl.Single("TOKEN_PASSWORD", "short"))
		tx.PutUser(&n)
	})
	w.want("short password", w.ask(w.lone, "GET", "/vm", ""), 401, "Not authorized")
	w.Do(func(tx *store.Tx) { tx.PutUser(w.ana) })
	w.want("the old one again", w.ask(w.lone, "GET", "/vm", ""), 200, w.ask(w.lone, "GET", "/vm", "").body)
	w.Do(func(tx *store.Tx) {
		v := *w.now(w.other)
		v.Template = v.Template.Without("CREATED_BY")
		tx.PutVM(&v)
	})
	w.want("no CREATED_BY", w.ask(w.other, "GET", "/vm", ""), 401, "Not authorized")
	w.Do(func(tx *store.Tx) { tx.DeleteUser(w.eve.ID) })
	w.want("creator gone", w.ask(w.stranger, "GET", "/vm", ""), 401, "Not authorized")
}

// The creator's password verifies, the owner's rights count.
func TestOwnerIsNotCreator(t *testing.T) {
	w := newWorld(t, settings{})
	w.Do(func(tx *store.Tx) {
		v := *w.now(w.lone)
		v.UID, v.UName = w.eve.ID, "eve"
		tx.PutVM(&v)
	})
	if a := w.ask(w.lone, "GET", "/vm", ""); a.status != 200 {
		t.Errorf("given away: %d %s", a.status, a.body)
	}
	w.Do(func(tx *store.Tx) {
		v := *w.now(w.lone)
		v.Perms = 0o070
		v.GID = 50
		tx.PutVM(&v)
	})
	w.want("no right left", w.ask(w.lone, "GET", "/vm", ""), 404, "[one.vm.info] User ["+itoa(w.eve.ID)+"] : Not authorized to perform USE VM ["+itoa(w.lone.ID)+"].")
	w.Do(func(tx *store.Tx) {
		v := *w.now(w.lone)
		v.Perms = 0o400
		tx.PutVM(&v)
	})
	w.want("may not manage", w.ask(w.lone, "PUT", "/vm", "A=1"), 500, "[one.vm.update] User ["+itoa(w.eve.ID)+"] : Not authorized to perform MANAGE VM ["+itoa(w.lone.ID)+"].")
	w.Do(func(tx *store.Tx) { tx.DeleteUser(w.eve.ID) })
	w.want("owner gone", w.ask(w.lone, "GET", "/vm", ""), 404, "[one.vm.info] User couldn't be authenticated, aborting call.")
}

func TestUnknownRoutes(t *testing.T) {
	w := newWorld(t, settings{})
	for _, c := range [][2]string{
		{"GET", "/vm/"}, {"GET", "/vms"}, {"GET", "/vms/"}, {"GET", "/vms/1/"}, {"GET", "/vms/1/action"}, {"POST", "/vm"}, {"DELETE", "/vm"},
		{"PATCH", "/vm"}, {"OPTIONS", "/vm"}, {"GET", "//vm"}, {"GET", "/vm/0"}, {"POST", "/service/0/scale"}, {"PUT", "/service"},
		{"PUT", "/service/role/"}, {"PUT", "/service/role/a/b"}, {"GET", "/service/role/web"}, {"GET", "/vnet"}, {"GET", "/metrics"}, {"GET", "/favicon.ico"},
		{"GET", "/vms/../vm"}, {"GET", "/VM"},
	} {
		for _, v := range []*one.VM{w.lone, nil} {
			w.want(c[0]+" "+c[1], w.ask(v, c[0], c[1], ""), 400, textUnknown)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, settings{})
	for _, c := range []struct {
		name         string
		a            answer
		status       int
		typ, retry   string
		tag, hasBody bool
	}{
		{"show", w.ask(w.lone, "GET", "/vm", ""), 200, "application/json;charset=utf-8", "", true, true},
		{"update", w.ask(w.lone, "PUT", "/vm", "A=1"), 200, "application/json;charset=utf-8", "", false, false},
		{"refusal", w.ask(w.lone, "GET", "/service", ""), 400, "application/json;charset=utf-8", "", false, true},
		{"nobody", w.ask(nil, "GET", "/vm", ""), 401, "application/json;charset=utf-8", "", false, true},
		{"unknown", w.ask(nil, "GET", "/x", ""), 400, "application/json;charset=utf-8", "", false, true},
		{"act", w.ask(w.lone, "POST", "/vms/"+itoa(w.lone.ID)+"/action", `{"action":{"perform":"poweroff"}}`), 204, "", "", false, false},
	} {
		h := c.a.header
		if c.a.status != c.status || h.Get("Content-Type") != c.typ || h.Get("X-Content-Type-Options") != "nosniff" || (h.Get("ETag") != "") != c.tag || (c.a.body != "") != c.hasBody {
			t.Errorf("%s: %d %q %v", c.name, c.a.status, c.a.body, h)
		}
		for name := range h {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s: %s", c.name, name)
			}
		}
	}
	got, head := w.ask(w.web0, "GET", "/vm", ""), w.ask(w.web0, "HEAD", "/vm", "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != itoa(len(got.body)) || head.header.Get("ETag") != got.header.Get("ETag") {
		t.Errorf("HEAD: %d %q %v", head.status, head.body, head.header)
	}
	for _, path := range []string{"/", "/vms/" + itoa(w.web0.ID), "/service"} {
		if head := w.ask(w.web0, "HEAD", path, ""); head.status != 200 || head.body != "" {
			t.Errorf("HEAD %s: %d %q", path, head.status, head.body)
		}
	}
	for tag, status := range map[string]int{
		`"x"`: 200, `*`: 304, got.header.Get("ETag"): 304, `"x", W/` + got.header.Get("ETag"): 304, strings.Trim(got.header.Get("ETag"), `"`): 304,
	} {
		if a := w.ask(w.web0, "GET", "/vm", "", "If-None-Match", tag); a.status != status || status == 304 && (a.body != "" || a.header.Get("ETag") == "") {
			t.Errorf("If-None-Match %s: %d %q", tag, a.status, a.body)
		}
	}
}

func TestLinks(t *testing.T) {
	w := newWorld(t, settings{})
	at := strings.TrimPrefix(w.server.URL, "http://")
	w.want("links", w.ask(w.lone, "GET", "/", ""), 200, `{"vm_info":"http://`+at+`/vm","service_info":"http://`+at+`/service"}`)
	p := newWorld(t, settings{gate: func(o *gate.Options) { o.Config.PublicURL = "https://gate.example.org/" }})
	p.want("public", p.ask(p.lone, "GET", "/", ""), 200, `{"vm_info":"https://gate.example.org//vm","service_info":"https://gate.example.org//service"}`)
}

// What is not permitted is refused before anybody asks who is asking.
func TestPermissions(t *testing.T) {
	w := newWorld(t, settings{gate: func(o *gate.Options) {
		o.Config.Permissions = map[string]map[string]bool{"vm": {"show": false, "update": true, "update_by_id": false}, "service": {"change_cardinality": false}}
	}})
	id := itoa(w.lone.ID)
	for _, v := range []*one.VM{w.lone, nil} {
		w.want("show", w.ask(v, "GET", "/vm", ""), 403, "Action (show) on resource (vm) not supported")
		w.want("update_by_id", w.ask(v, "PUT", "/vms/"+id, "A=1"), 403, "Action (update_by_id) on resource (vm) not supported")
		w.want("scale", w.ask(v, "PUT", "/service/role/web", "{}"), 403, "Action (change_cardinality) on resource (service) not supported")
	}
	w.want("allowed", w.ask(w.lone, "PUT", "/vm", "A=1"), 200, "")
	if a := w.ask(w.lone, "GET", "/vms/"+id, ""); a.status != 200 {
		t.Errorf("not mentioned: %d %s", a.status, a.body)
	}
}

// Every route has a permission, but the links, which show nothing.
func TestTableOfRoutes(t *testing.T) {
	keys := map[string]bool{}
	for _, r := range gateapi.Routes() {
		if (r.Permission == "/") != (r.Path == "/") {
			t.Errorf("%s %s has the permission %q", r.Method, r.Path, r.Permission)
		}
		keys[r.Permission] = true
	}
	for _, want := range []string{"vm/show", "vm/show_by_id", "vm/update", "vm/update_by_id", "vm/action_by_id", "service/show", "service/change_cardinality", "vrouter/show", "vnet/show_by_id"} {
		if !keys[want] {
			t.Errorf("no route has the permission %s", want)
		}
	}
}

var errFlow = errors.New("no")

func TestScale(t *testing.T) {
	w := newWorld(t, settings{})
	for _, c := range []struct{ role, body, asked, answer string }{
		{"web", `{"cardinality":4}`, "ana 0 web 4", "200 "},
		{"my%20role", `{"cardinality":"0"}`, "ana 0 my role 0", "200 "},
		{"web", `{"cardinality":-1}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", `{"cardinality":"many"}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", `{"cardinality":2.5}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", `{"cardinality":99999999999999999999}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", `{"cardinality":null}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", `{}`, "", "400 cardinality: expected a number from 0 to 1048576"},
		{"web", ``, "", "400 Error parsing JSON: unexpected end of JSON input"},
		{"web", `[4]`, "", "400 Error parsing JSON: Wrong resource type"},
	} {
		w.flow.asked = nil
		a := w.ask(w.web0, "PUT", "/service/role/"+c.role, c.body)
		if got := itoa(a.status) + " " + a.body; got != c.answer || strings.Join(w.flow.asked, ",") != c.asked {
			t.Errorf("%s %s: %s, asked %q", c.role, c.body, got, w.flow.asked)
		}
	}
	w.flow.err = errFlow
	w.want("refused", w.ask(w.web0, "PUT", "/service/role/web", `{"cardinality":9}`), 400, "Error performing action on service 0 role web")
}
