package flowapi_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/golden"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// times are the only thing in documents that no test knows beforehand.
var times = regexp.MustCompile(`("(?:registration_time|start_time|timestamp|last_eval|time)": )\d+`)

func fixed(doc string) string { return times.ReplaceAllString(doc, "${1}1700000000") }

func TestDocuments(t *testing.T) {
	s := newServer(t)
	golden.Check(t, "testdata/empty_pool.json", s.want(t, 200, "GET", "/service", ""))
	golden.Check(t, "testdata/template_created.json", fixed(s.want(t, 201, "POST", "/service_template", web)))
	golden.Check(t, "testdata/service_allocated.json", fixed(s.want(t, 201, "POST", "/service_template/0/action", `{"action":{"perform":"instantiate","params":{}}}`)))
	s.waitService(1, one.ServiceRunning)
	// When policies were last looked at is known to the controller alone.
	look, giveUp := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer look.Stop()
	for strings.Count(s.want(t, 200, "GET", "/service/1", ""), "last_eval") < 2 {
		select {
		case <-look.C:
		case <-giveUp:
			t.Fatal("the policies were never looked at")
		}
	}
	golden.Check(t, "testdata/service_running.json", fixed(s.want(t, 200, "GET", "/service/1", "null")))
	golden.Check(t, "testdata/pool.json", fixed(s.want(t, 200, "GET", "/service", "")))
	golden.Check(t, "testdata/template_pool.json", fixed(s.want(t, 200, "GET", "/service_template", "")))
	s.want(t, 204, "DELETE", "/service/1", "null")
	s.waitGone(1)
}

func TestHeaders(t *testing.T) {
	s := newServer(t)
	w := s.ask(admin, "GET", "/service", "")
	for name, want := range map[string]string{
		"Content-Type": "text/html;charset=utf-8", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN",
		"X-Xss-Protection": "1; mode=block", "Www-Authenticate": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWhoAsks(t *testing.T) {
	s := newServer(t)
	for _, q := range []struct {
		user   string
		status int
		body   string
	}{
		{"", 401, "A username and password must be provided"},
		{"oneadmin:wrong", 401, "Invalid credentials"},
		{"nobody:x", 401, "Invalid credentials"},
		{"nobody:a b/c", 401, "Invalid credentials"},
		{":", 401, "Invalid credentials"},
		{ana, 200, "{\n  \"DOCUMENT_POOL\": {}\n}"},
		{admin, 200, "{\n  \"DOCUMENT_POOL\": {}\n}"},
	} {
		w := s.ask(q.user, "GET", "/service", "")
		if w.Code != q.status || w.Body.String() != q.body {
			t.Errorf("%q: %d %q, want %d %q", q.user, w.Code, w.Body, q.status, q.body)
		}
	}
	// A name with a space is kept escaped by clients that sign up through URLs.
	if _, err := s.Cloud.AllocateUser(s.Context(), s.Admin, "eva%20b", "p%2Fw", "core", []int{one.UsersGroupID}); err != nil {
		t.Fatal(err)
	}
	if w := s.ask("eva b:p/w", "GET", "/service", ""); w.Code != 200 {
		t.Errorf("escaped: %d %s", w.Code, w.Body)
	}
}

// TestRefusals has what is wrong with requests, each with its status and text.
func TestRefusals(t *testing.T) {
	s := newServer(t)
	tid, sid := s.running(t)
	service, template := fmt.Sprintf("/service/%d", sid), fmt.Sprintf("/service_template/%d", tid)
	act := func(perform, params string) string {
		return fmt.Sprintf(`{"action":{"perform":%q,"params":%s}}`, perform, params)
	}
	for _, q := range []struct {
		user, method, path, body string
		status                   int
		text                     string
	}{
		{admin, "GET", "/nothing", "", 404, "<h1>Not Found</h1>"},
		{admin, "PATCH", service, "", 404, "<h1>Not Found</h1>"},
		{admin, "POST", "/login", "", 404, "<h1>Not Found</h1>"},
		{admin, "GET", "/service/", "", 404, "<h1>Not Found</h1>"},
		{admin, "GET", "//service//55", "", 404, "[one.document.info] Error getting document [55]."},
		{"", "GET", "/nothing", "", 401, "A username and password must be provided"}, // who asks is settled first
		{"", "PATCH", service, "", 401, "A username and password must be provided"},
		{"nobody:x", "GET", "/nothing", "", 401, "Invalid credentials"},
		{admin, "GET", "/service/55", "", 404, "[one.document.info] Error getting document [55]."},
		{admin, "GET", "/service/x", "", 404, "[one.document.info] Error getting document [x]."},
		{admin, "GET", fmt.Sprintf("/service/%d", tid), "", 500, fmt.Sprintf("[DocumentInfo] Error getting document [%d].", tid)},
		{ana, "GET", service, "", 401, fmt.Sprintf("[one.document.info] User [2] : Not authorized to perform USE DOCUMENT [%d].", sid)},
		{ana, "DELETE", service, "", 401, fmt.Sprintf("[one.document.info] User [2] : Not authorized to perform USE DOCUMENT [%d].", sid)},
		{admin, "DELETE", "/service/55", "", 404, "[one.document.info] Error getting document [55]."},
		{admin, "DELETE", "/service_template/55", "", 404, "[one.document.info] Error getting document [55]."},
		{admin, "POST", "/service/55/action", act("recover", "{}"), 404, "[one.document.info] Error getting document [55]."},

		{admin, "POST", "/service_template", "{", 400, "invalid JSON at byte 1: unexpected end\nat line 1 column 2: expected JSON"},
		{admin, "POST", "/service_template", `{"name":"x","roles":[]} x`, 400, ""},
		{admin, "POST", "/service_template", `[]`, 400, ""},
		{admin, "POST", "/service_template", strings.Repeat("[", 10_000), 400, ""},
		{admin, "POST", "/service_template", strings.Repeat(" ", 5<<20), 413, "The body is larger than 4194304 bytes"},
		{admin, "POST", "/service_template", strings.ReplaceAll(web, `"parents":["db"]`, `"parents":["front"]`), 400, ""},
		{admin, "POST", "/service_template", strings.ReplaceAll(web, `"parents":["db"]`, `"parents":["nobody"]`), 400, ""},
		{admin, "POST", "/service_template", strings.ReplaceAll(web, `"cardinality":2`, `"cardinality":5`), 400, ""},

		{admin, "POST", service + "/action", "{", 500, `{"message":"Internal server error","reason":"invalid JSON at byte 1: unexpected end"}`},
		{admin, "POST", service + "/action", "{}", 500, `{"message":"Internal server error","reason":"the body must be {\"action\":{\"perform\":\"<name>\",\"params\":{…}}}"}`},
		{admin, "POST", service + "/action", act("fly", "{}"), 500, "Action fly not supported"},
		{admin, "POST", service + "/action", act("chown", "{}"), 500, "Action chown: You have to specify a UID"},
		{admin, "POST", service + "/action", act("chgrp", "{}"), 500, "Action chgrp: You have to specify a GID"},
		{admin, "POST", service + "/action", act("chmod", "{}"), 500, "Action chmod: You have to specify an OCTET"},
		{admin, "POST", service + "/action", act("chmod", `{"octet":"998"}`), 500, "Action chmod: OCTET must be three digits of 0 to 7, as in 640"},
		{admin, "POST", service + "/action", act("rename", "{}"), 500, "Action rename: You have to specify a name"},
		{admin, "POST", service + "/action", act("chown", `{"owner_id":77}`), 404, "[one.document.chown] Error getting user [77]."},
		{admin, "POST", service + "/action", act("recover", "{}"), 500, ""},
		{admin, "POST", service + "/action", act("reboot", "null"), 500, `{"message":"Internal server error","reason":"action.params is missing"}`},
		{admin, "POST", service + "/role/front/action", act("fly", "{}"), 500, ""},
		{admin, "POST", service + "/role/nobody/action", act("reboot", "{}"), 500, "Role 'nobody' not found"},
		{admin, "POST", service + "/role_action", act("fly", "{}"), 500, "Action fly not supported"},
		{admin, "POST", service + "/role_action", act("add_role", "{}"), 400, "action.params.role is missing: expected a role"},
		{admin, "DELETE", service + "/sched_action/x", "", 400, "Sched action ID must be an integer number"},

		{admin, "POST", service + "/scale", `{"role_name":"front","cardinality":3}`, 500, `{"message":"Internal server error","reason":"force is missing: expected true or false"}`},
		{admin, "POST", service + "/scale", `{"role_name":"front","cardinality":9,"force":false}`, 500, ""},
		{admin, "POST", service + "/scale", `{"role_name":"front","cardinality":"many","force":false}`, 500, "Cardinality must be an integer number"},
		{admin, "POST", service + "/scale", `{"role_name":"nobody","cardinality":1,"force":false}`, 500, ""},
		{ana, "POST", service + "/scale", `{"role_name":"front","cardinality":3,"force":false}`, 401, fmt.Sprintf("[one.document.info] User [2] : Not authorized to perform USE DOCUMENT [%d].", sid)},

		{admin, "PUT", service, `{"append":true}`, 400, "Missing template to append"},
		{admin, "PUT", service, `{"append":true,"template":"{"}`, 400, "invalid JSON at byte 1: unexpected end\nat line 1 column 2: expected JSON"},
		{admin, "PUT", service, `{"append":true,"template":"{\"name\":\"x\"}"}`, 500, "Immutable value: `service/name` can not be changed\nat name, line 1 column 9: expected no change"},
		{admin, "PUT", template, strings.Replace(web, `"name":"web"`, `"name":"web","registration_time":1`, 1), 500, "Immutable value: `service_template/registration_time` can not be changed\nat registration_time, line 1 column 35: expected no change"},
		{admin, "POST", template + "/action", act("fly", "{}"), 500, "Action fly not supported"},
		{admin, "POST", template + "/action", act("clone", "{}"), 500, "Action clone: You have to specify a name"},
		{admin, "POST", template + "/action", act("instantiate", `{"merge_template":3}`), 400, "KEY: 'merge_template' must be an Object;\nat line 1 column 63: expected an object"},
		{ana, "POST", template + "/action", act("instantiate", `{}`), 401, fmt.Sprintf("[one.document.info] User [2] : Not authorized to perform USE DOCUMENT [%d].", tid)},
	} {
		before := s.Store.View()
		w := s.ask(q.user, q.method, q.path, q.body)
		if w.Code != q.status || q.text != "" && w.Body.String() != q.text || w.Body.Len() == 0 {
			t.Errorf("%s %s %.60s: %d %q, want %d %q", q.method, q.path, q.body, w.Code, w.Body, q.status, q.text)
		}
		if after := s.Store.View(); after.Services.Len() != before.Services.Len() || after.Documents.Len() != before.Documents.Len() {
			t.Errorf("%s %s %.60s: something was made", q.method, q.path, q.body)
		}
	}
}

// TestServiceActions walks a service through everything that can be asked of it.
func TestServiceActions(t *testing.T) {
	s := newServer(t)
	_, id := s.running(t)
	path := fmt.Sprintf("/service/%d", id)
	action := func(perform, params string) {
		t.Helper()
		if body := s.want(t, 204, "POST", path+"/action", fmt.Sprintf(`{"action":{"perform":%q,"params":%s}}`, perform, params)); body != "" {
			t.Errorf("%s: body %q", perform, body)
		}
	}
	cardinality := func(role string, n int) {
		t.Helper()
		err := s.TryWait(func(st *store.State) bool {
			v, ok := st.Services.Get(id)
			if !ok || v.State != one.ServiceRunning {
				return false
			}
			have := 0
			for vm := range st.ServiceVMs.Of(id) {
				if v, ok := st.VM(vm); ok && v.Role == role && v.State == one.VMActive && v.LCM == one.LCMRunning {
					have++
				}
			}
			return have == n
		})
		if err != nil {
			t.Fatalf("waiting for %d VMs of %s: %v: %s", n, role, err, s.want(t, 200, "GET", path, ""))
		}
	}
	s.want(t, 204, "POST", path+"/scale", `{"role_name":"front","cardinality":3,"force":false}`)
	cardinality("front", 3)
	s.want(t, 204, "POST", path+"/scale", `{"role_name":"front","cardinality":5,"force":true}`)
	cardinality("front", 5)
	s.want(t, 204, "PUT", path+"/role/front", `{"cardinality":"1"}`) // 4.2 to 5.10
	cardinality("front", 1)

	action("chown", `{"owner_id":2,"group_id":-1}`)
	action("chgrp", `{"group_id":"1"}`)
	action("chmod", `{"octet":"640"}`)
	action("rename", `{"name":"shop"}`)
	d, _ := s.Store.View().Documents.Get(id)
	if d.UID != 2 || d.GID != 1 || d.Perms != 0o640 || d.Name != "shop" {
		t.Errorf("the service is %+v", d.Meta)
	}
	if w := s.ask(ana, "GET", path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"UNAME": "ana"`) {
		t.Errorf("its owner sees %d %s", w.Code, w.Body)
	}

	state := func(role string, want one.VMState) { // "" for all roles
		t.Helper()
		s.Wait("VMs "+want.String(), func(st *store.State) bool {
			for vm := range st.ServiceVMs.Of(id) {
				if v, ok := st.VM(vm); !ok || (role == "" || role == v.Role) && v.State != want {
					return false
				}
			}
			return true
		})
	}
	action("poweroff", `{}`)
	state("", one.VMPoweroff)
	s.want(t, 204, "POST", path+"/role/db/action", `{"action":{"perform":"resume","params":{"period":"0","number":2,"args":""}}}`)
	s.want(t, 204, "POST", path+"/role/front/action", `{"action":{"perform":"resume","params":{}}}`)
	state("", one.VMActive)
	cardinality("front", 1)

	// Names of releases up to 4.14 mean the same.
	s.want(t, 204, "POST", path+"/role/front/action", `{"action":{"perform":"poweroff","params":{}}}`)
	state("front", one.VMPoweroff)
	s.want(t, 204, "POST", path+"/role/front/action", `{"action":{"perform":"boot","params":{}}}`)
	cardinality("front", 1)

	// What is scheduled on the VMs can be taken back. They refuse, since they are not
	// pending.
	held := func() (ids []int) {
		st := s.Store.View()
		for vm := range st.ServiceVMs.Of(id) {
			for _, a := range st.Schedules.At(vm).Actions {
				if a.Action == "hold" {
					ids = append(ids, a.ID)
				}
			}
		}
		return ids
	}
	action("hold", `{"period":3600,"number":1}`)
	ids := held()
	if len(ids) < 2 {
		t.Fatalf("%d actions are scheduled", len(ids))
	}
	s.want(t, 204, "DELETE", fmt.Sprintf("%s/sched_action/%d", path, ids[0]), "null")
	if now := held(); !slices.Equal(now, ids[1:]) {
		t.Errorf("%v are left of %v", now, ids)
	}
	s.want(t, 204, "DELETE", path+"/role/front/sched_action/77", "")

	// What is made for a service is made with its owner's rights.
	if err := s.Cloud.Chmod(s.Context(), s.Admin, one.KindTemplate, 0, one.Perms(0o644).Bits()); err != nil {
		t.Fatal(err)
	}
	s.want(t, 204, "POST", path+"/role_action", `{"action":{"perform":"add_role","params":{"role":"{\"name\":\"cache\",\"type\":\"vm\",\"template_id\":0,\"cardinality\":2}","add":true}}}`)
	cardinality("cache", 2)
	s.want(t, 204, "POST", path+"/role_action", `{"action":{"perform":"remove_role","params":{"role":"cache","add":false}}}`)
	cardinality("cache", 0)
	s.want(t, 204, "PUT", path, `{"append":true,"template":"{\"description\":\"sells\"}"}`)
	action("update", `{"append":true,"template_json":"{\"description\":\"sells things\"}"}`) // 5.0 to 5.10
	action("update", `{"append":true,"template_raw":"LABELS=\"a\""}`)
	if body := s.want(t, 200, "GET", path, ""); !strings.Contains(body, `"description": "sells things"`) || !strings.Contains(body, `"LABELS": "a"`) {
		t.Errorf("not updated: %s", body)
	}
	action("recover", `{"delete":true}`)
	s.waitGone(id)
	s.want(t, 204, "POST", "/service_pool/purge_done", "")
}

func TestTemplateActions(t *testing.T) {
	s := newServer(t)
	id := s.id(t, "/service_template", web)
	path := fmt.Sprintf("/service_template/%d", id)
	action := func(status int, perform, params string) string {
		t.Helper()
		return s.want(t, status, "POST", path+"/action", fmt.Sprintf(`{"action":{"perform":%q,"params":%s}}`, perform, params))
	}
	action(204, "chown", `{"owner_id":2}`)
	action(204, "chgrp", `{"group_id":1}`)
	action(204, "chmod", `{"octet":"604"}`)
	action(204, "rename", `{"name":"shop"}`)
	d, _ := s.Store.View().Documents.Get(id)
	if d.UID != 2 || d.GID != 1 || d.Perms != 0o604 || d.Name != "shop" {
		t.Errorf("the template is %+v", d.Meta)
	}
	action(204, "update", `{"append":true,"template_json":"{\"description\":\"sells\"}"}`)
	action(204, "update", `{"append":true,"template_raw":"LABELS=\"a\""}`)
	if body := s.want(t, 200, "GET", path, ""); !strings.Contains(body, `"description": "sells"`) || !strings.Contains(body, `"LABELS": "a"`) {
		t.Errorf("not updated: %s", body)
	}
	for _, recursive := range []string{`"none"`, `false`, `true`, `"templates"`} {
		body := action(201, "clone", fmt.Sprintf(`{"name":"copy %s","recursive":%s}`, strings.Trim(recursive, `"`), recursive))
		if !strings.Contains(body, `"TYPE": "101"`) {
			t.Errorf("clone: %s", body)
		}
	}
	if n := s.Store.View().Templates.Len(); n != 3 {
		t.Errorf("%d VM templates, want the first and two clones", n)
	}
	s.want(t, 200, "PUT", path, web)
	s.want(t, 204, "DELETE", path, `{"delete_type":"templates"}`)
	s.want(t, http.StatusNotFound, "GET", path, "")
	if _, ok := s.Store.View().Templates.Get(0); ok {
		t.Error("the VM template is still there")
	}
}

// Who may use a service sees it, and is refused what changes it.
func TestUseIsNotManage(t *testing.T) {
	s := newServer(t)
	tid, sid := s.running(t)
	for _, path := range []string{fmt.Sprintf("/service/%d", sid), fmt.Sprintf("/service_template/%d", tid)} {
		s.want(t, 204, "POST", path+"/action", `{"action":{"perform":"chmod","params":{"octet":"604"}}}`)
		if w := s.ask(ana, "GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		want := "[one.document.update] User [2] : Not authorized to perform MANAGE DOCUMENT ["
		if w := s.ask(ana, "DELETE", path, ""); w.Code != 401 || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// What up to 5.10 was an action shuts a service down as DELETE does.
func TestShutdown(t *testing.T) {
	s := newServer(t)
	_, id := s.running(t)
	s.want(t, 204, "POST", fmt.Sprintf("/service/%d/action", id), `{"action":{"perform":"shutdown"}}`)
	s.waitGone(id)
}
