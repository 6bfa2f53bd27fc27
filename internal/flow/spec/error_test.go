package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
)

func placed(t testing.TB, text string) jsontree.Value {
	t.Helper()
	v, err := jsontree.ParsePlaced([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// shop is a template over several lines; each case changes one piece of it.
const shop = `{
  "name": "shop",
  "deployment": "straight",
  "networks": {"my net": "M|network|x||id:5"},
  "networks_values": [{"my net": {"id": "5"}}],
  "user_inputs": {"DOMAIN": "M|text|x"}, "user_inputs_values": {"DOMAIN": "x"},
  "roles": [
    { "name": "db", "type": "vm", "template_id": 0 },
    { "name": "worker", "type": "vm", "template_id": 0, "cardinality": 1,
      "min_vms": 1, "max_vms": 5, "parents": ["db"],
      "template_contents": {"NIC": [{"NETWORK_ID": "$my net"}]},
      "elasticity_policies": [
        { "type": "CHANGE", "adjust": 1, "expression": "LOAD > 80" }
      ],
      "scheduled_policies": [
        { "type": "CARDINALITY", "adjust": 4, "recurrence": "0 9 * * *" }
      ] }
  ]
}`

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"straight"`, `"fast"`, `at deployment, line 3 column 17: expected one of none, straight`},
		{`"name": "shop",`, `"name": null,`, `at line 1 column 1: expected a member name, a string`},
		{`"cardinality": 1`, `"cardinality": -1`, `at roles[1].cardinality, line 9 column 72: expected an integer of 0 to 100000`},
		{`"min_vms": 1`, `"min_vms": "two"`, `at roles[1].min_vms, line 10 column 18: expected an integer of at least 0`},
		{`"min_vms": 1`, `"min_vms": 2`, `at roles[1].cardinality, line 9 column 72: expected at least 2, the min_vms`},
		{`, "cardinality": 1`, ``, `at roles[1].cardinality, line 9 column 5: expected at least 1, the min_vms`},
		{`"max_vms": 5, `, ``, `at roles[1], line 9 column 5: expected members min_vms and max_vms`},
		{`["db"]`, `["db", 3]`, `at roles[1].parents[1], line 10 column 53: expected a string`},
		{`["db"]`, `["dbs"]`, `at roles[1].parents[0], line 10 column 47: expected the name of another role`},
		{`["db"]`, `["worker"]`, `at roles[1].parents, line 10 column 46: expected parents that do not depend on the role itself`},
		{`"name": "worker"`, `"name": "db"`, `at roles[1].name, line 9 column 15: expected another name than those of the roles before`},
		{`{ "name": "db", "type": "vm", "template_id": 0 }`, `7`, `at roles[0], line 8 column 5: expected an object`},
		{`"type": "vm", "template_id": 0 }`, `"type": "lxc" }`, `at roles[0].type, line 8 column 29: expected one of vm, vr`},
		{`"type": "vm", "template_id": 0 }`, `"type": "vm" }`, `at roles[0], line 8 column 5: expected a member template_id, an integer`},
		{`"NETWORK_ID"`, `"NETWORK ID"`, `at roles[1].template_contents.NIC[0]["NETWORK ID"], line 11 column 52: expected a name of letters, digits and underscores that does not begin with a digit`},
		{`"CHANGE"`, `"change"`, `at roles[1].elasticity_policies[0].type, line 13 column 19: expected one of CHANGE, CARDINALITY, PERCENTAGE_CHANGE`},
		{`LOAD > 80`, `LOAD`, `at roles[1].elasticity_policies[0].expression, line 13 column 56: expected a condition such as LOAD > 80`},
		{`, "expression": "LOAD > 80"`, ``, `at roles[1].elasticity_policies[0], line 13 column 9: expected a member expression, a string`},
		{`0 9 * * *`, `daily`, `at roles[1].scheduled_policies[0].recurrence, line 16 column 61: expected minute, hour, day, month and weekday, such as 0 9 * * mon-fri`},
		{`"recurrence": "0 9 * * *"`, `"start_time": "soon"`, `at roles[1].scheduled_policies[0].start_time, line 16 column 61: expected a time such as 2026-01-31 09:00:00`},
		{`, "recurrence": "0 9 * * *"`, ``, `at roles[1].scheduled_policies[0], line 16 column 9: expected a member start_time or recurrence`},
		{`[{"my net": {"id": "5"}}]`, `[{"other": {"id": "5"}}]`, `at networks_values, line 5 column 22: expected an element for "my net"`},
		{`[{"my net": {"id": "5"}}]`, `[{"my net": 5}]`, `at networks_values[0]["my net"], line 5 column 34: expected a member id, template_id or reserve_from`},
		{`{"id": "5"}`, `{"reserve_from": "x"}`, `at networks_values[0]["my net"].reserve_from, line 5 column 51: expected an id`},
		{`[{"my net": {"id": "5"}}]`, `[]`, ``},
		{`M|network|x||id:5"},
  "networks_values": [{"my net": {"id": "5"}}]`, `M|network|x"}`, `at networks["my net"], line 4 column 26: expected a default as in "M|network|Public||id:5", or networks_values`},
		{`{"DOMAIN": "x"}`, `{"D": "x"}`, `at user_inputs_values, line 6 column 64: expected also DOMAIN`},
		{`, "user_inputs_values": {"DOMAIN": "x"}`, ``, `at line 1 column 1: expected a member user_inputs_values with DOMAIN`},
	} {
		text := replaceOnce(t, shop, c.old, c.new)
		v := placed(t, text)
		_, err := Validate(v)
		if err == nil {
			err = CheckInputs(v)
		}
		if err == nil {
			_, err = Networks(v)
		}
		got := ""
		var refusal *Error
		if errors.As(err, &refusal) {
			got = refusal.Place([]byte(text))
		}
		if got != c.want || err != nil && refusal == nil {
			t.Errorf("%s instead of %s: %v\n got %s\nwant %s", c.new, c.old, err, got, c.want)
		}
	}
}

func replaceOnce(t *testing.T, text, old, now string) string {
	t.Helper()
	before, after, found := strings.Cut(text, old)
	if !found {
		t.Fatalf("%q is not in the template", old)
	}
	return before + now + after
}

// In what an instantiation lays over a template the place is that of what was
// sent, and of what was stored there is none.
func TestPlacesInMerge(t *testing.T) {
	stored := tree(t, shop)
	for _, c := range []struct{ merge, want string }{
		{"{\"roles\":[\n{\"name\":\"worker\",\"min_vms\":\"x\"}]}", `at roles[1].min_vms, line 2 column 28: expected an integer of at least 0`},
		{"{\"roles\":[\n{\"name\":\"worker\",\"min_vms\":3}]}", `at roles[1].cardinality, line 2 column 1: expected at least 3, the min_vms`},
		{"{\"roles\":[{\"name\":\"worker\",\"elasticity_policies\":[\n {\"type\":\"UP\"}]}]}", `at roles[1].elasticity_policies[1].type, line 2 column 10: expected one of CHANGE, CARDINALITY, PERCENTAGE_CHANGE`},
		{"{\"roles\":[{\"name\":\"worker\",\"vm_template\":\n\"x\"}]}", `at roles[1].template_id, line 2 column 1: expected an integer`},
		{"{\"deployment\":\n 3}", `at deployment, line 2 column 2: expected one of none, straight`},
	} {
		_, err := Check(Merge(stored, placed(t, c.merge)))
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Place([]byte(c.merge)) != c.want {
			t.Errorf("%s: %v at %q\nwant %s", c.merge, err, refusal.Place([]byte(c.merge)), c.want)
		}
	}
	broken := tree(t, replaceOnce(t, shop, `"cardinality": 1`, `"cardinality": -1`))
	merge := `{"name":"x"}`
	_, err := Check(Merge(broken, placed(t, merge)))
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Place([]byte(merge)) != `at roles[1].cardinality: expected an integer of 0 to 100000` {
		t.Errorf("a fault of what is stored: %v", err)
	}
}
