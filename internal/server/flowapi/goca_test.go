package flowapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/OpenNebula/one/src/oca/go/src/goca"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/service"
	srvtmpl "github.com/OpenNebula/one/src/oca/go/src/goca/schemas/service_template"
	"github.com/OpenNebula/one/src/oca/go/src/goca/schemas/shared"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/rig"
)

// The original's Go client, and through it its Terraform provider, leads a
// service through its life.
func TestGoca(t *testing.T) {
	s := newServer(t)
	web := httptest.NewServer(s)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	c := goca.NewControllerFlow(goca.NewFlowClient(goca.NewFlowConfig("oneadmin", rig.OneadminPassword, web.URL), &http.Client{Transport: transport}))
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	tm := &srvtmpl.ServiceTemplate{Template: srvtmpl.Template{Body: srvtmpl.Body{
		Name: "web", Deployment: "straight",
		Roles: []srvtmpl.Role{
			{Name: "db", Cardinality: 1, Type: "vm", TemplateID: 0},
			{
				Name: "front", Cardinality: 1, Type: "vm", TemplateID: 0, Parents: []string{"db"}, MinVMs: 1, MaxVMS: 3, Cooldown: 1,
				ElasticityPolicies: []service.ElasticityPolicy{{Type: "CHANGE", Adjust: 1, Expression: "LOAD > 80", Period: 10, Period_number: 3}},
			},
		},
	}}}
	check("create", c.STemplates().Create(tm))
	pool, err := c.STemplates().Info()
	check("templates", err)
	if len(pool.ServiceTemplates) != 1 || pool.ServiceTemplates[0].Name != "web" || len(pool.ServiceTemplates[0].Template.Body.Roles) != 2 {
		t.Fatalf("templates: %+v", pool)
	}
	tc := c.STemplate(tm.ID)
	check("rename a template", tc.Rename("shop"))
	check("chmod a template", tc.Chmod(shared.Permissions{OwnerU: 1, OwnerM: 1, GroupU: 1}))
	check("chown a template", tc.Chown(0, 1))
	clone, err := tc.Clone("shop2", false)
	check("clone", err)
	check("delete the clone", c.STemplate(clone.ID).Delete())
	got, err := tc.Info()
	check("template", err)
	if got.Name != "shop" || got.GID != 1 || got.Permissions.GroupU != 1 || got.Template.Body.Roles[1].ElasticityPolicies[0].Expression != "LOAD > 80" {
		t.Errorf("template: %+v", got)
	}

	svc, err := tc.Instantiate(`{"name":"eshop"}`)
	check("instantiate", err)
	if svc.Name != "eshop" || svc.Template.Body.StateRaw != 0 {
		t.Errorf("as allocated: %+v", svc)
	}
	sc := c.Service(svc.ID)
	check("chmod", sc.Chmod(shared.Permissions{OwnerU: 1, OwnerM: 1, OtherU: 1}))
	check("chown", sc.Chown(0, 1))
	check("rename", sc.Rename("e-shop"))
	s.waitService(svc.ID, one.ServiceRunning)
	check("scale", sc.Scale("front", 2, false))
	s.waitService(svc.ID, one.ServiceCooldown)
	s.waitService(svc.ID, one.ServiceRunning)
	svc, err = sc.Info()
	check("info", err)
	if svc.Template.Body.StateRaw != int(one.ServiceRunning) || svc.Name != "e-shop" || svc.GID != 1 || svc.Permissions.OtherU != 1 {
		t.Errorf("service: %+v", svc)
	}
	if front := svc.Template.Body.Roles[1]; len(front.Nodes) != 2 || front.Nodes[1].VMInfo.VM.ID != front.Nodes[1].DeployID || front.Nodes[0].VMInfo.VM.GID != 1 {
		t.Errorf("role: %+v", front)
	}
	check("role action", sc.VMAction("front", "reboot", map[string]any{}))
	services, err := c.Services().Info()
	check("services", err)
	if len(services.Services) != 1 {
		t.Errorf("%d services", len(services.Services))
	}
	check("delete", sc.Delete())
	s.waitGone(svc.ID)
	// The Terraform provider takes this text for the end.
	if _, err := sc.Info(); err == nil || !strings.Contains(err.Error(), "Error getting") {
		t.Errorf("after the end: %v", err)
	}
	check("delete the template", tc.Delete())
}
