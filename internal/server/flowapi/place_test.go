package flowapi_test

import (
	"fmt"
	"strings"
	"testing"
)

// A refused template is answered with the original's message on the first line
// and the place in what was sent on the second, whichever way it came.
func TestPlaces(t *testing.T) {
	s := newServer(t)
	tid, sid := s.running(t)
	role := "{\"name\":\"more\",\"type\":\"vm\",\n\"template_id\":\"x\"}"
	for _, q := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/service_template", strings.ReplaceAll(web, `"period_number":3`, "\n\"period_number\":-3"), 400, "KEY: 'period_number' must be greater than or equal to 0;\n" +
			"at roles[1].elasticity_policies[0].period_number, line 5 column 17: expected an integer of at least 0"},
		{"PUT", fmt.Sprintf("/service_template/%d", tid), "\n{\"name\":\"web\"}", 400, "Mandatory document key 'roles (array)' is missing from {\"name\":\"web\",\"deployment\":\"none\",\"description\":\"\"}\n" +
			"at line 2 column 1: expected a member roles, an array of at most 1000 objects"},
		{"POST", fmt.Sprintf("/service_template/%d/action", tid), `{"action":{"perform":"update","params":{"append":true,"template_json":"{\n \"deployment\":1}"}}}`, 400, "KEY: 'deployment' must be a String;\n" +
			"at deployment, line 2 column 15: expected one of none, straight"},
		{"POST", fmt.Sprintf("/service_template/%d/action", tid), "{\"action\":{\"perform\":\"instantiate\",\"params\":{\"merge_template\":\n{\"roles\":[{\"name\":\"front\",\"max_vms\":1}]}}}}", 500,
			"Role 'front' 'cardinality' must be lower than or equal to 'max_vms'\nat roles[1].cardinality, line 2 column 11: expected at most 1, the max_vms"},
		{"POST", fmt.Sprintf("/service/%d/role_action", sid), `{"action":{"perform":"add_role","params":{"role":` + role + `}}}`, 400, "KEY: 'template_id' must be an Integer;\n" +
			"at template_id, line 2 column 15: expected an integer"},
		{"POST", fmt.Sprintf("/service/%d/role_action", sid), fmt.Sprintf(`{"action":{"perform":"add_role","params":{"role":%q}}}`, role), 400, "KEY: 'template_id' must be an Integer;\n" +
			"at template_id, line 2 column 15: expected an integer"},
		{"POST", fmt.Sprintf("/service/%d/role_action", sid), "{\"action\":{\"perform\":\"add_role\",\"params\":{\"role\":\n{\"name\":\"more\",\"type\":\"vm\",\"template_id\":0,\"parents\":[\"who\"]}}}}", 400,
			"Role 'more': its parent 'who' is not a role of the service\nat roles[2].parents[0], line 2 column 55: expected the name of another role"},
		{"PUT", fmt.Sprintf("/service/%d", sid), "{\"roles\":[{\"name\":\"db\"},\n{\"name\":\"front\",\"cardinality\":9}]}", 500, "Immutable value: `role/cardinality` can not be changed\n" +
			"at roles[1].cardinality, line 2 column 31: expected no change"},
		{"PUT", fmt.Sprintf("/service/%d", sid), "{\"roles\":[{\"name\":\"db\"},\n{\"name\":\"front\",\"cooldown\":\"long\"}]}", 400, "KEY: 'cooldown' must be an Integer;\n" +
			"at roles[1].cooldown, line 2 column 28: expected an integer of at least 0"},
	} {
		if got := s.want(t, q.status, q.method, q.path, q.body); got != q.text {
			t.Errorf("%s %s %s:\n got %s\nwant %s", q.method, q.path, q.body, got, q.text)
		}
	}
}
