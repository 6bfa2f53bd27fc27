package flowapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// Defects of the original's interface (OneFlow reference §10) that ours does not
// have; see the files of that name below internal/flow for the others.

// Giving a template to a user leaves its group alone, and what is refused is told.
func TestDefect8TemplateActions(t *testing.T) {
	s := newServer(t)
	id := s.id(t, "/service_template", web)
	path := fmt.Sprintf("/service_template/%d", id)
	act := func(user, perform, params string) (int, string) {
		w := s.ask(user, "POST", path+"/action", fmt.Sprintf(`{"action":{"perform":%q,"params":%s}}`, perform, params))
		return w.Code, w.Body.String()
	}
	head := func() one.Meta {
		d, _ := s.Store.View().Documents.Get(id)
		return d.Meta
	}
	if status, body := act(admin, "chgrp", `{"group_id":1}`); status != 204 {
		t.Fatalf("chgrp: %d %s", status, body)
	}
	before := head()
	for _, c := range []struct {
		perform, params string
		status          int
		text            string
	}{
		{"chown", `{"owner_id":2}`, 401, fmt.Sprintf("[one.document.chown] User [2] : Not authorized to perform MANAGE DOCUMENT [%d].", id)},
		{"chgrp", `{"group_id":0}`, 401, fmt.Sprintf("[one.document.chown] User [2] : Not authorized to perform MANAGE DOCUMENT [%d]; Not authorized to perform USE GROUP [0].", id)},
		{"chmod", `{"octet":"777"}`, 401, fmt.Sprintf("[one.document.chmod] User [2] : Not authorized to perform ADMIN DOCUMENT [%d].", id)},
		{"rename", `{"name":"mine"}`, 401, fmt.Sprintf("[one.document.rename] User [2] : Not authorized to perform MANAGE DOCUMENT [%d].", id)},
		{"update", `{"append":true,"template_json":"{\"description\":\"x\"}"}`, 401, ""},
		{"fly", `{}`, 500, "Action fly not supported"},
	} {
		status, text := act(ana, c.perform, c.params)
		if status != c.status || text == "" || c.text != "" && text != c.text {
			t.Errorf("%s: %d %q, want %d %q", c.perform, status, text, c.status, c.text)
		}
	}
	if head() != before {
		t.Errorf("something was changed: %+v", head())
	}
	if status, body := act(admin, "chown", `{"owner_id":2}`); status != 204 || head().UID != 2 || head().GID != 1 {
		t.Errorf("chown: %d %s, the template belongs to %d:%d", status, body, head().UID, head().GID)
	}
}

// What was read can be written with a change, though the log has grown since, and
// only what was changed is looked at.
func TestIssue5759UpdateOfWhatWasRead(t *testing.T) {
	s := newServer(t)
	_, id := s.running(t)
	path := fmt.Sprintf("/service/%d", id)
	var doc struct {
		Document struct {
			Template struct {
				Body map[string]any `json:"BODY"`
			} `json:"TEMPLATE"`
		} `json:"DOCUMENT"`
	}
	if err := json.Unmarshal([]byte(s.want(t, 200, "GET", path, "")), &doc); err != nil {
		t.Fatal(err)
	}
	s.want(t, 204, "POST", path+"/scale", `{"role_name":"front","cardinality":3,"force":false}`)
	s.Wait("three VMs", func(st *store.State) bool {
		v, ok := st.Services.Get(id)
		return ok && v.State == one.ServiceRunning && v.Roles[1].Cardinality == 3
	})
	body := doc.Document.Template.Body
	body["description"] = "sells things"
	write := func() string {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// The cardinality that was read is another by now: that is a conflict.
	if text := s.want(t, 500, "PUT", path, write()); !strings.HasPrefix(text, "Immutable value: `role/cardinality` can not be changed") {
		t.Errorf("with a cardinality of the past: %s", text)
	}
	body["roles"].([]any)[1].(map[string]any)["cardinality"] = 3
	for _, r := range body["roles"].([]any) {
		for _, run := range []string{"nodes", "last_vmname", "state"} {
			delete(r.(map[string]any), run)
		}
	}
	s.want(t, 204, "PUT", path, write())
	if text := s.want(t, 200, "GET", path, ""); !strings.Contains(text, `"description": "sells things"`) || !strings.Contains(text, "scaling up from 2 to 3 nodes") {
		t.Errorf("not updated, or the log is lost: %s", text)
	}
}

// An update that would make the template wrong is refused, in whatever way it comes.
func TestIssue1077InvalidUpdate(t *testing.T) {
	s := newServer(t)
	id := s.id(t, "/service_template", web)
	path := fmt.Sprintf("/service_template/%d", id)
	before := s.want(t, 200, "GET", path, "")
	bad := `{"deployment":"sideways"}`
	quoted, err := json.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	const want = "KEY: 'deployment' must be one of none, straight;"
	for _, q := range [][3]string{
		{"POST", path + "/action", `{"action":{"perform":"update","params":{"append":true,"template_json":` + string(quoted) + `}}}`},
		{"PUT", path, strings.Replace(web, "straight", "sideways", 1)},
	} {
		if text := s.want(t, 400, q[0], q[1], q[2]); !strings.HasPrefix(text, want) {
			t.Errorf("%s: %s", q[0], text)
		}
	}
	if after := s.want(t, 200, "GET", path, ""); after != before {
		t.Errorf("it was changed: %s", after)
	}
}
