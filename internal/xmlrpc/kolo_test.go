package xmlrpc_test

import (
	"errors"
	"testing"

	kolo "github.com/kolo/xmlrpc"

	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// kolo/xmlrpc is the codec of the original's Go client, and with it of the
// Terraform provider.

func TestCallsOfKolo(t *testing.T) {
	const template = "NAME=\"web & <db>\"\nCONTEXT=[ A=\"'1'\", B=\"é\r\n\" ]"
	b, err := kolo.EncodeMethodCall("one.template.allocate", "oneadmin:p&ss", 7, true, false, template, []int{1, 2}, -1, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := xmlrpc.ParseCall(b, xmlrpc.Limits{})
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	a := c.Args()
	if c.Method != "one.template.allocate" || a.Len() != 8 || a.Text(0) != "oneadmin:p&ss" || a.Int(1) != 7 || !a.Bool(2) || a.Bool(3) ||
		a.Text(4) != template || len(a.Ints(5)) != 2 || a.Ints(5)[1] != 2 || a.Int(6) != -1 || a.Text(7) != "" || a.Err() != nil {
		t.Errorf("read as %+v, error %v", c, a.Err())
	}
}

func TestAnswersForKolo(t *testing.T) {
	const document = "<VM><NAME><![CDATA[a & <b>]]></NAME></VM>"
	for name, b := range map[string][]byte{
		"value": xmlrpc.AppendSuccess(nil, xmlrpc.String(document)),
		"text":  xmlrpc.AppendTextEnd(xmlrpc.AppendEscaped(xmlrpc.AppendTextBegin(nil), document)),
	} {
		var got []any
		if err := kolo.Response(b).Unmarshal(&got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != 3 || got[0] != true || got[1] != document || got[2] != int64(0) {
			t.Errorf("%s: read as %#v", name, got)
		}
	}

	b := xmlrpc.AppendFailure(nil, &xmlrpc.Failure{Message: "[one.vm.info] Error getting virtual machine [5].", Code: 0x400, ObjectID: 5, ReplicationIndex: -1})
	var got []any
	if err := kolo.Response(b).Unmarshal(&got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[0] != false || got[1] != "[one.vm.info] Error getting virtual machine [5]." || got[2] != int64(0x400) || got[3] != int64(5) || got[4] != int64(-1) {
		t.Errorf("read as %#v", got)
	}

	err := kolo.Response(xmlrpc.AppendFault(nil, xmlrpc.NoSuchMethod("one.x.y"))).Err()
	if f, ok := errors.AsType[kolo.FaultError](err); !ok || f.Code != -506 || f.String != "Method 'one.x.y' not defined" {
		t.Errorf("read as %#v", err)
	}
}
