package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

func tree(t testing.TB, text string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// withRole is a service of one role with more members.
func withRole(members string) string {
	return `{"name":"s","roles":[{"name":"a","type":"vm","template_id":0` + members + `}]}`
}

// policed is a service whose role has policies.
func policed(members string) string {
	return withRole(`,"cardinality":1,"min_vms":1,"max_vms":5` + members)
}

// The wording of OneFlow reference §2.3.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"roles":[]}`, `Mandatory document key 'name (string)' is missing from {"roles":[]}`},
		{`{"name":null,"roles":[]}`, `Mandatory document key 'name (string)' is missing from {"name":null,"roles":[]}`},
		{`{"name":"s"}`, `Mandatory document key 'roles (array)' is missing from {"name":"s","deployment":"none","description":""}`},
		{`{"name":"s","roles":null}`, `Mandatory document key 'roles (array)' is missing from {"name":"s","roles":null,"deployment":"none","description":""}`},
		{`{"name":5,"roles":[]}`, `KEY: 'name' must be a String;`},
		{`{"name":"s","roles":{}}`, `KEY: 'roles' must be an Array;`},
		{`{"name":"s","roles":["a"]}`, `KEY: 'roles' must be an Object;`},
		{`{"name":"s","roles":[],"networks":[1]}`, `KEY: 'networks' must be an Object;`},
		{`{"name":"s","roles":[],"networks_values":{"a":1}}`, `KEY: 'networks_values' must be an Array;`},
		{`{"name":"s","roles":[],"deployment":"fast"}`, `KEY: 'deployment' must be one of none, straight;`},
		{`{"name":"s","roles":[],"shutdown_action":"x"}`, `KEY: 'shutdown_action' must be one of terminate, terminate-hard, shutdown, shutdown-hard;`},
		{`{"name":"s","roles":[],"ready_status_gate":"yes"}`, `KEY: 'ready_status_gate' is not allowed in {:type=>:boolean, :required=>false};`},
		{`{"name":"s","roles":[{"name":"a","template_id":0}]}`, `Mandatory document key 'type (string)' is missing from {"name":"a","template_id":0}`},
		{`{"name":"s","roles":[{"name":"a","type":"vm"}]}`, `Mandatory document key 'template_id (integer)' is missing from {"name":"a","type":"vm","cardinality":0}`},
		{`{"name":"s","roles":[{"name":"a","type":"xyz","template_id":0}]}`, `Unsupported role type "xyz"`},
		{`{"name":"s","roles":[{"name":"a b","type":"vm","template_id":0}]}`, `KEY: 'name' must match regexp /^\w+$/;`},
		{`{"name":"s","roles":[{"name":"a\nb","type":"vm","template_id":0}]}`, `KEY: 'name' must match regexp /^\w+$/;`},
		{withRole(`,"cardinality":-1`), `KEY: 'cardinality' must be greater than or equal to 0;`},
		{withRole(`,"cardinality":"three"`), `KEY: 'cardinality' must be an Integer;`},
		{withRole(`,"cardinality":true`), `KEY: 'cardinality' must be an Integer;`},
		{withRole(`,"cardinality":[1]`), `KEY: 'cardinality' must be an Integer;`},
		{withRole(`,"cardinality":1e300`), `KEY: 'cardinality' must be an Integer;`},
		{withRole(`,"cardinality":100001`), `KEY: 'cardinality' must be lower than or equal to 100000;`},
		{withRole(`,"parents":"b"`), `KEY: 'parents' must be an Array;`},
		{withRole(`,"parents":[1]`), `KEY: 'parents' must be a String;`},
		{withRole(`,"elasticity_policies":[{"type":"change","adjust":1,"expression":"A>1"}]`), `KEY: 'type' must be one of CHANGE, CARDINALITY, PERCENTAGE_CHANGE;`},
		{withRole(`,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"A>1","min_adjust_step":0}]`), `KEY: 'min_adjust_step' must be greater than or equal to 1;`},
		{withRole(`,"elasticity_policies":[{"type":"CHANGE","expression":"A>1"}]`), `Mandatory document key 'adjust (integer)' is missing from {"type":"CHANGE","expression":"A>1"}`},
		{withRole(`,"cardinality":1,"min_vms":2`), `Role 'a' 'cardinality' must be greater than or equal to 'min_vms'`},
		{withRole(`,"cardinality":3,"max_vms":2`), `Role 'a' 'cardinality' must be lower than or equal to 'max_vms'`},
		{
			withRole(`,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"A>1"}]`),
			`Role 'a' with  'elasticity_policies' or 'scheduled_policies'must define both 'min_vms' and 'max_vms'`,
		},
		{policed(`,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":" "}]`), `Role 'a', elasticity policy #0 'expression' cannot be empty`},
		{
			policed(`,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"A"}]`),
			`Role 'a', elasticity policy #0 'expression' parse error: Expected one of [0-9a-zA-Z_], ' ', '==', '=', '!=', '<>', '>=', '>', '<=', '<' at line 1, column 2 (byte 2) after A`,
		},
		{
			policed(`,"scheduled_policies":[{"type":"CHANGE","adjust":1,"start_time":"15:00","recurrence":"* * * * *"}]`),
			`Role 'a', scheduled policy #0 must define 'start_time' or 'recurrence', but not both`,
		},
		{policed(`,"scheduled_policies":[{"type":"CHANGE","adjust":1}]`), `Role 'a', scheduled policy #0 needs to define either 'start_time' or 'recurrence'`},
		{
			policed(`,"scheduled_policies":[{"type":"CHANGE","adjust":1,"start_time":"soon"}]`),
			`Role 'a', scheduled policy #0 'start_time' is not a valid Time. Try with YYYY-MM-DD hh:mm:ss or 0YYY-MM-DDThh:mm:ssZ`,
		},
		{policed(`,"scheduled_policies":[{"type":"CHANGE","adjust":1,"start_time":5}]`), `KEY: 'start_time' must be a String;`},
		{policed(`,"scheduled_policies":[{"type":"CHANGE","adjust":1,"recurrence":"soon"}]`), `Role 'a', scheduled policy #0 'recurrence' is not a valid cron expression`},
		{
			`{"name":"s","roles":[{"name":"a","type":"vm","template_id":0},{"name":"a","type":"vm","template_id":0}]}`,
			`Role name 'a' is repeated`,
		},
		{
			`{"name":"s","roles":[{"name":"v","type":"vr","template_id":0,"cardinality":2,"template_contents":{"NIC":[{"NAME":"x"}]}}]}`,
			`Role 'v' with 'cardinality' greather than one must define a floating IP`,
		},
		{withRole(`,"template_contents":{"a b":1}`), `Role 'a': template_contents: "a b" is not the name of an attribute`},
		{withRole(`,"template_contents":{"NIC":[{"0X":1}]}`), `Role 'a': template_contents: "0X" is not the name of an attribute`},
		{
			`{"name":"s","deployment":"straight","roles":[{"name":"a","type":"vm","template_id":0,"parents":["z"]}]}`,
			`Role 'a': its parent 'z' is not a role of the service`,
		},
		{
			`{"name":"s","deployment":"straight","roles":[{"name":"r","type":"vm","template_id":0,"parents":["a"]},` +
				`{"name":"a","type":"vm","template_id":0,"parents":["b"]},{"name":"b","type":"vm","template_id":0,"parents":["a"]}]}`,
			`The parents of the roles go round in a circle: a -> b -> a`,
		},
		{
			`{"name":"s","roles":[{"name":"a","vm_template":1},{"name":"b","type":"vm","template_id":1}]}`,
			`Mandatory document key 'type (string)' is missing from {"name":"a","vm_template":1}`,
		},
		{`[]`, `KEY: '' must be an Object;`},
	} {
		_, err := Validate(tree(t, c.in))
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Msg != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.in, err, c.want)
		}
	}
}

func TestCoercionAndDefaults(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{
			`{"roles":[],"name":"s","extra":{"x":[1]},"description":null,"automatic_deletion":false}`,
			`{"roles":[],"name":"s","extra":{"x":[1]},"description":"","automatic_deletion":false,"deployment":"none"}`,
		},
		{
			withRole(`,"cardinality":"3","min_vms":"0x2","max_vms":3.7,"cooldown":null,"on_hold":true`),
			`{"name":"s","roles":[{"name":"a","type":"vm","template_id":0,"cardinality":3,"min_vms":2,"max_vms":3,"on_hold":true}],"deployment":"none","description":""}`,
		},
		{
			`{"name":"s","roles":[{"name":"v","type":"vr","template_id":0,"cardinality":2,"cooldown":"kept","template_contents":{"NIC":[{"FLOATING_IP":"YES"}]}}]}`,
			`{"name":"s","roles":[{"name":"v","type":"vr","template_id":0,"cardinality":2,"cooldown":"kept","template_contents":{"NIC":[{"FLOATING_IP":"YES"}]}}],"deployment":"none","description":""}`,
		},
	} {
		got, err := Validate(tree(t, c.in))
		if err != nil || got.Compact() != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.in, got.Compact(), err, c.want)
		}
	}
	// Parents that do not exist do no harm where nobody waits for parents.
	if _, err := Validate(tree(t, withRole(`,"parents":["z"]`))); err != nil {
		t.Errorf("deployment none with an unknown parent: %v", err)
	}
}

// OneFlow reference §2.4.
func TestConvert(t *testing.T) {
	in := `{"name":"s","custom_attrs":{"A":"M|text|a"},"custom_attrs_values":{"A":"1"},"roles":[` +
		`{"name":"a","vm_template":"4","vm_template_contents":"NIC=[NAME=\"NIC0\",NETWORK_ID=\"$Net\"]\nNIC=[NAME=NIC1]\nCONTEXT=[X=\"a,b\"]\nFOO=bar\nL=1\nL=2"},` +
		`{"name":"b","vm_template":5,"cardinality":2,"custom_attrs":{}}]}`
	want := `{"name":"s","user_inputs":{"A":"M|text|a"},"user_inputs_values":{"A":"1"},"roles":[` +
		`{"name":"a","template_id":4,"template_contents":{"CONTEXT":[{"X":"a,b"}],"FOO":"bar","L":["1","2"],"NIC":[{"NAME":"NIC0","NETWORK_ID":"$Net"},{"NAME":"NIC1"}]},"type":"vm","cardinality":1},` +
		`{"name":"b","template_id":5,"cardinality":2,"user_inputs":{},"type":"vm"}],"deployment":"none","description":""}`
	got, err := Validate(tree(t, in))
	if err != nil || got.Compact() != want {
		t.Errorf("got  %s, %v\nwant %s", got.Compact(), err, want)
	}
}

// OneFlow reference §2.5.
func TestMerge(t *testing.T) {
	base := `{"name":"s","list":[1],"objects":[{"a":1}],"deep":{"x":1,"y":{"z":1}},` +
		`"networks_values":[{"A":{"id":"1"}},{"B":{"id":"2"}}],"roles":[{"name":"a","template_id":1,"template_contents":{"X":"1","V":{"P":"1"}}},{"name":"b"}]}`
	over := `{"name":"t","list":[1,2],"objects":[{"a":1},{"a":2}],"deep":{"y":{"w":2},"x":3},"new":true,"custom_attrs_values":{"K":"v"},` +
		`"networks_values":[{"B":{"id":"9"}},{"C":{"id":"3"}}],"roles":[{"name":"nobody","cardinality":1},{"name":"a","cardinality":2,"template_contents":{"V":{"Q":"2"}}}]}`
	want := `{"name":"t","list":[1,1,2],"objects":[{"a":1},{"a":2}],"deep":{"x":3,"y":{"z":1,"w":2}},` +
		`"networks_values":[{"A":{"id":"1"}},{"B":{"id":"9"}},{"C":{"id":"3"}}],"roles":[{"name":"a","template_id":1,"template_contents":{"X":"1","V":{"P":"1","Q":"2"}},"cardinality":2},{"name":"b"}],` +
		`"new":true,"user_inputs_values":{"K":"v"}}`
	if got := Merge(tree(t, base), tree(t, over)).Compact(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestInputs(t *testing.T) {
	role := func(members string) string { return `{"roles":[{"name":"a"` + members + `}]}` }
	for _, c := range []struct{ in, want string }{
		{`{}`, ""},
		{`{"user_inputs":{}}`, ""},
		{`{"user_inputs":{"A":"M|text|a"}}`, `The Service template specifies User Inputs but no values have been found`},
		{`{"user_inputs":{"A":"M|text|a"},"user_inputs_values":["A"]}`, `Wrong User Inputs or User Inputs Values format`},
		{`{"user_inputs":["A"],"user_inputs_values":{}}`, `Wrong User Inputs or User Inputs Values format`},
		{`{"user_inputs":{"A":"M|text|a","B":"O|text|b"},"user_inputs_values":{"A":"1"}}`, `Verify that every User Input have its corresponding value defined`},
		{`{"user_inputs":{"A":"M|text|a"},"user_inputs_values":{"A":""}}`, ""},
		{role(`,"user_inputs":{"A":"M|text|a"}`), `The Service template specifies user inputs for the role a but no values have been found`},
		{role(`,"user_inputs":"x"`), `The role user inputs are empty or do not have a valid format`},
		{role(`,"user_inputs":{"A":"M"},"user_inputs_values":5`), `The role user inputs are empty or do not have a valid format`},
		{role(`,"template_contents":"NIC=[]"`), `Error validating template_contents object for therole a. The object must be a valid hash.`},
		{role(`,"user_inputs":{"A":"M"},"user_inputs_values":{"A":"1"}`), ""},
	} {
		got := ""
		if err := CheckInputs(tree(t, c.in)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{}`, `{}`},
		{`{"networks":["A"]}`, `Wrong networks format`},
		{`{"networks":{"A":"M|network|a||id:5"},"networks_values":{"A":1}}`, `Wrong networks_values format`},
		{`{"networks":{"A":"M|network|a||id:5"},"networks_values":[{"A":5}]}`, `Wrong networks_values format`},
		{`{"networks":{"A":"M|network|a"}}`, `Missing networks_values`},
		{`{"networks":{"A":"M|network|a||id:"}}`, `Missing networks_values`},
		{
			`{"networks":{"A":"M|network|a||id:5","B":"M|network|b| |reserve_from:6:SIZE=5"},"networks_values":[{"A":{"id":"5"}}]}`,
			`Every network key must have its value defined at networks_value`,
		},
		{
			`{"networks":{"A":"M|network|a||id:5","B":"M|network|b| |template_id:6:x"}}`,
			`{"networks":{"A":"M|network|a||id:5","B":"M|network|b| |template_id:6:x"},"networks_values":[{"A":{"id":"5"}},{"B":{"template_id":"6"}}]}`,
		},
		{
			`{"networks_values":[{"A":{"reserve_from":"0","extra":"NAME=\\\"x\\\"\nSIZE=5"}}]}`,
			`{"networks_values":[{"A":{"reserve_from":"0","extra":"NAME=x\nSIZE=5"}}]}`,
		},
		{
			`{"networks_values":[{"A":{"id":7,"reserve_from":"0","extra":"SIZE=5"},"B":{"template_id":"1","id":"8"}},{"C":{"id":9}}]}`,
			`{"networks_values":[{"A":{"reserve_from":"0","extra":"SIZE=5"},"B":{"template_id":"1"}},{"C":{"id":9}}]}`,
		},
		{`{"networks_values":[{"A":{"reserve_from":"0"}}]}`, `networks_values: reserving from a network for 'A' needs 'extra' with at least SIZE`},
		{`{"networks_values":[{"A":{"reserve_from":"x","extra":"SIZE=1"}}]}`, `networks_values: reserve_from of network 'A' must be an Integer`},
		{`{"networks_values":[{"A":{}}]}`, `networks_values: network 'A' must have one of id, template_id and reserve_from`},
	} {
		v, err := Networks(tree(t, c.in))
		got := v.Compact()
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.in, got, c.want)
		}
	}
}

// OneFlow reference §1.6 and §2.6.
func TestFill(t *testing.T) {
	in := `{"networks_values":[{"Private":{"template_id":"3","id":12}},{"Pub":{"id":"0"}}],"user_inputs_values":{"DOMAIN":"example.org","N":5},"roles":[` +
		`{"name":"a","user_inputs_values":{"N":"six"},"template_contents":{"NIC":[{"NAME":"NIC0","NETWORK_ID":"$Private"},{"NETWORK_ID":"$Pub"}],"T":"x-$DOMAIN.$N$Private$DOMAINX$","CONTEXT":{"Y":"$NAME"}}},` +
		`{"name":"b","template_contents":{"CONTEXT":[{"Y":"1"}]}},{"name":"c"}]}`
	want := `[{"name":"a","user_inputs_values":{"N":"six"},"template_contents":{"NIC":[{"NAME":"NIC0","NETWORK_ID":12},{"NETWORK_ID":"0"}],"T":"x-example.org.six12$DOMAINX$","CONTEXT":{"Y":"$NAME","DOMAIN":"$DOMAIN","N":"$N"},"DOMAIN":"example.org","N":"six"}},` +
		`{"name":"b","template_contents":{"CONTEXT":[{"Y":"1","DOMAIN":"$DOMAIN","N":"$N"}],"DOMAIN":"example.org","N":"5"}},` +
		`{"name":"c","template_contents":{"DOMAIN":"example.org","N":"5","CONTEXT":{"DOMAIN":"$DOMAIN","N":"$N"}}}]`
	if got := Fill(tree(t, in)).Get("roles").Compact(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	plain := `{"roles":[{"name":"a","template_contents":{"T":"$X"}}]}`
	if got := Fill(tree(t, plain)).Compact(); got != plain {
		t.Errorf("without networks and inputs: %s", got)
	}
	ids := WithNetworkIDs(tree(t, `{"networks_values":[{"Private":{"template_id":"3"}}]}`), map[string]int{"Private": 12})
	if got := ids.Compact(); got != `{"networks_values":[{"Private":{"template_id":"3","id":12}}]}` {
		t.Errorf("ids: %s", got)
	}
}

func TestAttributes(t *testing.T) {
	base, err := tmpl.Parse("CPU=1\nCONTEXT=[SSH=\"k\",NETWORK=\"YES\"]\nNIC=[NETWORK=\"a\"]\nDISK=[IMAGE_ID=1]\nLAB=x")
	if err != nil {
		t.Fatal(err)
	}
	contents := tree(t, `{"context":{"foo":"1","NETWORK":"NO"},"NIC":[{"NETWORK_ID":12}],"DISK":{"SIZE":5},"HOT":true,"LIST":["a",2,[3]],"NONE":null,"LAB":["y"],"APPEND":"lab"}`)
	got := Attributes(contents, base)
	want, err := tmpl.Parse("CONTEXT=[FOO=1,NETWORK=NO,SSH=k]\nNIC=[NETWORK_ID=12]\nDISK=[IMAGE_ID=1,SIZE=5]\nHOT=true\nLIST=a\nLIST=2\nLIST=\"[3]\"\nNONE=\"\"\nLAB=x\nLAB=y")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Errorf("got\n%s\nwant\n%s", got.Text(), want.Text())
	}
	// The text form of older releases makes CONTEXT an array of one.
	got = Attributes(tree(t, `{"CONTEXT":[{"X":"1"}]}`), base)
	if got.Vector("CONTEXT").Get("SSH") != "k" || got.Vector("CONTEXT").Get("X") != "1" {
		t.Errorf("converted context: %s", got.Text())
	}
}

func TestParents(t *testing.T) {
	var asked []string
	got := Parents(tree(t, `{"A":"ip ${db.template.context.eth0_ip}/${x.y}","N":[{"B":"${db}"}]}`), func(role string, path []string) (string, bool) {
		asked = append(asked, role+" "+strings.Join(path, "/"))
		return "10.0.0.1", role == "db"
	})
	if got.Compact() != `{"A":"ip 10.0.0.1/10.0.0.1","N":[{"B":"${db}"}]}` || strings.Join(asked, ";") != "db TEMPLATE/CONTEXT/ETH0_IP;x Y" {
		t.Errorf("got %s, asked %q", got.Compact(), asked)
	}
}

func TestRead(t *testing.T) {
	s, err := Read(tree(t, `{"name":"s","deployment":"straight","shutdown_action":"terminate-hard","ready_status_gate":true,"roles":[
		{"name":"c","type":"vm","template_id":1,"parents":["b"],"cooldown":7},{"name":"b","type":"vm","template_id":1,"parents":["a"],"shutdown_action":"terminate"},
		{"name":"a","type":"vm","template_id":1,"on_hold":true,"min_vms":1,"max_vms":2},{"name":"d","type":"vm","template_id":1}],
		"networks_values":[{"A":{"id":"5"}},{"B":{"reserve_from":6,"extra":"SIZE=1","id":9}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Straight || !s.Gate || s.Hold || len(s.Roles) != 4 {
		t.Errorf("service: %+v", s)
	}
	c, b, a, d := s.Roles[0], s.Roles[1], s.Roles[2], s.Roles[3]
	if !a.Hold || !b.Hold || !c.Hold || d.Hold {
		t.Error("hold is not inherited along the parents")
	}
	if c.ShutdownAction != "terminate-hard" || b.ShutdownAction != "terminate" || c.Cooldown != 7 || b.Cooldown != -1 || a.Min != 1 || a.Max != 2 || b.Max != -1 {
		t.Errorf("roles: %+v", s.Roles)
	}
	if n := s.Networks; len(n) != 2 || n[0].Mode != NetExisting || n[0].ID != 5 || n[1].Mode == NetExisting || n[1].From != 6 || n[1].ID != 9 {
		t.Errorf("networks: %+v", n)
	}
}

// Whatever a client sends is validated, merged and filled without a panic, and
// what has passed passes again unchanged.
func FuzzTemplate(f *testing.F) {
	f.Add([]byte(withRole(`,"cardinality":2,"elasticity_policies":[{"type":"CHANGE","adjust":1,"expression":"CPU > 80 && !(X=1)"}],"min_vms":1,"max_vms":3`)), []byte(`{"name":"t"}`))
	f.Add([]byte(`{"name":"s","roles":[{"name":"a","vm_template":1,"vm_template_contents":"NIC=[NETWORK_ID=\"$A\"]"}],"networks":{"A":"M|network|x||id:1"}}`), []byte(`{"roles":[{"name":"a","vm_template_contents":"X=1"}]}`))
	f.Add([]byte(`{"name":"s","deployment":"straight","roles":[{"name":"a","type":"vm","template_id":1,"parents":["a"]}]}`), []byte(`{"networks_values":[{"A":{"reserve_from":1,"extra":"SIZE=1"}}]}`))
	f.Add([]byte(policed(`,"scheduled_policies":[{"type":"CARDINALITY","adjust":4,"recurrence":"0 9 * * mon-fri"}]`)), []byte(`[]`))
	f.Fuzz(func(t *testing.T, template, merge []byte) {
		v, err := jsontree.ParsePlaced(template)
		if err != nil {
			return
		}
		if v, err = Validate(v); err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) || strings.Contains(refusal.Place(template), "\n") {
				t.Fatalf("%q: %v, of which the place is no line", template, err)
			}
			return
		}
		again, err := Validate(v)
		if err != nil || !again.Equal(v) {
			t.Fatalf("validated again: %s, %v; first %s", again.Compact(), err, v.Compact())
		}
		m, err := jsontree.Parse(merge)
		if err != nil {
			return
		}
		if v = Merge(v, m); CheckInputs(v) != nil {
			return
		}
		if v, err = Networks(v); err != nil {
			return
		}
		if v, err = Validate(v); err != nil {
			return
		}
		s, err := Read(Fill(v))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Roles {
			text := Attributes(r.Contents, nil).Text()
			if _, err := tmpl.ParseText(text); err != nil && !strings.Contains(err.Error(), "character") && !strings.Contains(text, "]]>") {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
