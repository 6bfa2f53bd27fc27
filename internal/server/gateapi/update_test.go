package gateapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/gate"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/gateapi"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

const (
	form = "application/x-www-form-urlencoded"
	raw  = ""
)

// Every form in which clients send updates. Source: OneGate reference §1.11.
func TestUpdateForms(t *testing.T) {
	w := newWorld(t, settings{})
	before := `GONE="1"` + "\n" + `KEEP="k"` + "\n" + `VEC=[A="1",B="2"]` + "\n" + `VEC=[B="3"]`
	const keep = "GONE=1 KEEP=k VEC=[A=1 B=2] VEC=[B=3]"
	multi := "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\nGONE\r\n--x\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\n2\r\n--x--\r\n"
	for _, c := range []struct {
		name, query, typ, body string
		status                 int
		answer, after          string
	}{
		{"curl -d", "", form, "LOAD = 9.7", 200, "", "GONE=1 KEEP=k LOAD=9.7 VEC=[A=1 B=2] VEC=[B=3]"},
		{"Windows", "", raw, "READY=YES", 200, "", "GONE=1 KEEP=k READY=YES VEC=[A=1 B=2] VEC=[B=3]"},
		{"client of 7", "", form, `data=A%3D1%5CnB%3Dx+y&type=1&json=true`, 200, "", "A=1 B=x y " + keep},
		{"client of 6", "", form, `A=1\nB=2`, 200, "", "A=1 B=2 " + keep},
		{"labelled as JSON", "", "application/json", `data=A`, 200, "", "DATA=A " + keep},
		{"with a charset", "", form + "; charset=utf-8", `data=A%3D1`, 200, "", "A=1 " + keep},
		{"no such type", "", "a/b/c", `A=1`, 200, "", "A=1 " + keep},
		{"replace a value", "", form, "KEEP=l", 200, "", "GONE=1 KEEP=l VEC=[A=1 B=2] VEC=[B=3]"},
		{"looks like a form", "", form, "type=web", 200, "", "GONE=1 KEEP=k TYPE=web VEC=[A=1 B=2] VEC=[B=3]"},
		{"joined by &", "", form, "A=1&B=2", 200, "", "A=1&B=2 " + keep},
		{"percent", "", form, "LOAD=85%", 200, "", "GONE=1 KEEP=k LOAD=85% VEC=[A=1 B=2] VEC=[B=3]"},
		{"badly encoded", "", form, "data=A%3D85%+%z&type=1", 200, "", "A=85% %z " + keep},
		{"erase", "", form, "data=GONE&type=2", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"erase by query", "?type=2", form, "GONE", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"erase, all in the query", "?type=2&data=GONE", raw, "", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"erase, multipart", "", "multipart/form-data; boundary=x", multi, 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"multipart cut off", "", "multipart/form-data; boundary=x", multi[:90], 400, "The form in the body cannot be read", keep},
		{"body before query", "?type=1", form, "data=GONE&type=2", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"erase a vector", "", form, "data=VEC&type=2", 200, "", "GONE=1 KEEP=k"},
		{"erase a part", "", form, "data=VEC%2FA&type=2", 200, "", "GONE=1 KEEP=k VEC=[B=2] VEC=[B=3]"},
		{"erase a part of all", "", form, "data=VEC%2FB&type=2", 200, "", "GONE=1 KEEP=k VEC=[A=1]"},
		{"erase with blanks", "", form, "data=%20GONE%0A&type=2", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"erase what is not there", "", form, "data=MISSING&type=2", 500, "attribute not found", keep},
		{"erase in small letters", "", form, "data=gone&type=2", 500, "attribute not found", keep},
		{"erase a part that is not there", "", form, "data=VEC%2FC&type=2", 500, "attribute not found", keep},
		{"erase a part of a value", "", form, "data=KEEP%2FC&type=2", 500, "attribute not found", keep},
		{"erase everything by a pattern", "", form, "data=*&type=2", 500, "attribute not found", keep},
		{"erase nothing", "", form, "data=&type=2", 500, "attribute not found", keep},
		{"other number", "", form, "data=GONE&type=3", 200, "", keep},
		{"no number", "", form, "data=GONE&type=x", 200, "", keep},
		{"number with letters", "", form, "data=GONE&type=2x", 200, "", "KEEP=k VEC=[A=1 B=2] VEC=[B=3]"},
		{"nothing", "", form, "", 200, "", keep},
		{"XML", "", raw, "<T><A>1</A></T>", 200, "", "A=1 " + keep},
		{"JSON value", "", raw, `CFG={"a":[1,"b, c"]}`, 200, "", `CFG={"a":[1,"b, c"]} ` + keep},
		{"parse error", "", raw, "FOO", 500, "[one.vm.update] Cannot update template. Parse error: syntax error, unexpected $end, expecting EQUAL or EQUAL_EMPTY at line 0, columns 1:4", keep},
		{"hyphen", "", raw, "A-B=1", 500, "", keep},
		{"binary", "", raw, "A=\x00\x01\xff", 500, "", keep},
	} {
		v := w.vm(w.ana, func(v *one.VM) {
			v.UserTemplate, _ = tmpl.Parse(before)
		})
		a := w.ask(v, "PUT", "/vm"+c.query, c.body, "Content-Type", c.typ)
		if a.status != c.status || c.answer != a.body && !(c.answer == "" && c.status != 200) {
			t.Errorf("%s: %d %q, want %d %q", c.name, a.status, a.body, c.status, c.answer)
		}
		if got := flat(w.now(v)); got != c.after {
			t.Errorf("%s: left %s, want %s", c.name, got, c.after)
		}
	}
}

// flat writes a user template on one line.
func flat(v *one.VM) string {
	var out []string
	for _, a := range v.UserTemplate.All() {
		s := a.Value
		if a.IsVector() {
			var parts []string
			for _, p := range a.Vector {
				parts = append(parts, p.Name+"="+p.Value)
			}
			s = "[" + strings.Join(parts, " ") + "]"
		}
		out = append(out, a.Name+"="+s)
	}
	return strings.Join(out, " ")
}

// No spelling gets a guest past what is restricted.
func TestRestrictedAttributes(t *testing.T) {
	w := newWorld(t, settings{gate: func(o *gate.Options) { o.Config.RestrictedAttrs = []string{"SERVICE_ID", "ROLE_NAME", "VEC/SUB"} }})
	set := func(v *one.VM) {
		v.UserTemplate = tmpl.New(tmpl.Single("SERVICE_ID", "0"), tmpl.Vec("VEC", "SUB", "1", "FREE", "2"))
	}
	for _, c := range []struct{ body, answer string }{
		{"SERVICE_ID=5", "Attribute (SERVICE_ID) cannot be modified"},
		{"SERVICE_ID =5", "Attribute (SERVICE_ID) cannot be modified"},
		{"\t service_id = 5", "Attribute (SERVICE_ID) cannot be modified"},
		{`A=1\nSERVICE_ID=5`, "Attribute (SERVICE_ID) cannot be modified"},
		{`A="1" SERVICE_ID="5"`, "Attribute (SERVICE_ID) cannot be modified"},
		{"SERVICE_ID=0", "Attribute (SERVICE_ID) cannot be modified"},
		{"SERVICE_ID=", "Attribute (SERVICE_ID) cannot be modified"},
		{`SERVICE_ID=[A="1"]`, "Attribute (SERVICE_ID) cannot be modified"},
		{"SERVICE_ID=[]", "Attribute (SERVICE_ID) cannot be modified"},
		{"<T><SERVICE_ID>5</SERVICE_ID></T>", "Attribute (SERVICE_ID) cannot be modified"},
		{"<T><service_id>5</service_id></T>", "Attribute (SERVICE_ID) cannot be modified"},
		{"<T><x:SERVICE_ID>5</x:SERVICE_ID></T>", "Attribute (SERVICE_ID) cannot be modified"},
		{"VEC=[SUB=5]", "Attribute (SUB) cannot be modified"},
		{"data=SERVICE_ID&type=2", "Attribute (SERVICE_ID) cannot be deleted"},
		{"data=%20SERVICE_ID%20&type=2", "Attribute (SERVICE_ID) cannot be deleted"},
		{"data=SERVICE_ID%2FA&type=2", "Attribute (SERVICE_ID/A) cannot be deleted"},
		{"data=VEC%2FSUB&type=2", "Attribute (VEC/SUB) cannot be deleted"},
		{"data=VEC&type=2", "Attribute (VEC) cannot be deleted"},
		{"data=SERVICE_ID&type=7", "Attribute (SERVICE_ID) cannot be deleted"},
	} {
		v := w.vm(w.ana, set)
		w.want(c.body, w.ask(v, "PUT", "/vm", c.body), 403, c.answer)
		if w.now(v).UserTemplate != v.UserTemplate {
			t.Errorf("%s: left %s", c.body, flat(w.now(v)))
		}
	}
	v := w.vm(w.ana, set)
	w.want("a part that is free", w.ask(v, "PUT", "/vm", "data=VEC%2FFREE&type=2"), 200, "")
	for _, body := range []string{"data=*&type=2", "data=.%2FSERVICE_ID&type=2", "data=..%2FUSER_TEMPLATE%2FSERVICE_ID&type=2", "data=%2F%2FSERVICE_ID&type=2"} {
		if a := w.ask(v, "PUT", "/vm", body); a.status == 200 || !w.now(v).UserTemplate.Has("SERVICE_ID") {
			t.Errorf("%s: %d, left %s", body, a.status, flat(w.now(v)))
		}
	}
	// The core's own list holds for owners that are no administrators.
	w.want("core", w.ask(v, "PUT", "/vm", "RAW=[TYPE=kvm,DATA=x]"), 500, "[one.vm.update] Cannot update template. User Template includes a restricted attribute RAW")
}

// A VM in DONE has its token still, and can be written to.
func TestDone(t *testing.T) {
	w := newWorld(t, settings{})
	v := w.vm(w.ana, func(v *one.VM) { v.State, v.LCM, v.ETime = one.VMDone, one.LCMInit, time.Now().Unix() })
	w.want("update", w.ask(v, "PUT", "/vm", "A=1"), 200, "")
	w.want("show", w.ask(v, "GET", "/vm", ""), 200, fmt.Sprintf(
		`{"VM":{"NAME":"vm-%d","ID":"%d","STATE":"6","LCM_STATE":"0","USER_TEMPLATE":{"A":"1"},"TEMPLATE":{"NIC":[],"NIC_ALIAS":[]}}}`, v.ID, v.ID))
}

// Two guests' worth of changes at once: none is lost, each is one transaction.
func TestUpdatesAtOnce(t *testing.T) {
	w := newWorld(t, settings{})
	w.want("start", w.ask(w.lone, "PUT", "/vm", "GONE=1"), 200, "")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if a := w.ask(w.lone, "PUT", "/vm", fmt.Sprintf("A%d=%d", i, i)); a.status != 200 {
				t.Errorf("%d: %d %s", i, a.status, a.body)
			}
		})
	}
	all.Go(func() { w.ask(w.lone, "PUT", "/vm", "data=GONE&type=2") })
	all.Wait()
	v := w.now(w.lone)
	if v.UserTemplate.Len() != 20 || v.UserTemplate.Has("GONE") {
		t.Errorf("left %s", flat(v))
	}
}

// Each change leaves a line that says who changed what, and no value.
func TestAudit(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	w := newWorld(t, settings{gate: func(o *gate.Options) {
		o.Log = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(b)
		}), nil))
	}})
	w.ask(w.web0, "PUT", "/vms/"+itoa(w.web1.ID), `PASS=s3cret\nB=2`)
	w.ask(w.web0, "PUT", "/vm", "data=MISSING&type=2")
	w.ask(w.web0, "POST", "/vms/"+itoa(w.web1.ID)+"/action", `{"action":{"perform":"poweroff","params":true}}`)
	w.ask(w.web0, "PUT", "/service/role/web", `{"cardinality":3}`)
	mu.Lock()
	defer mu.Unlock()
	text := log.String()
	for _, want := range []string{
		fmt.Sprintf(`msg="guest made a change" change=update guest=%d vm=%d owner=%d from=127.0.0.1:`, w.web0.ID, w.web1.ID, w.ana.ID),
		`attributes=B,PASS`, `change=action`, `action=poweroff`, `change=scale`, `role=web cardinality=3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "s3cret") || strings.Contains(text, "MISSING") || strings.Contains(text, creatorPassword) || strings.Contains(text, token(t, w.web0)) {
		t.Errorf("the log says too much:\n%s", text)
	}
}

// What a guest does wrong again and again does not fill the log.
func TestFailuresAreSeldomLogged(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	w := newWorld(t, settings{api: gateapi.Options{Log: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil))}})
	const asked = 200
	began := time.Now()
	for range asked {
		if a := w.ask(w.lone, "PUT", "/vm", "A-B=1"); a.status != 500 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	most := 5 * (int(time.Since(began)/time.Second) + 2) // in each second that was begun
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Count(log.String(), "request failed"); got == 0 || got > most {
		t.Errorf("%d lines for %d failures, want 1 to %d", got, asked, most)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A user template that would be larger than a transaction may be is refused, and
// so is a body larger than the limit, read or not.
func TestTooMuch(t *testing.T) {
	w := newWorld(t, settings{})
	w.want("a large value", w.ask(w.lone, "PUT", "/vm", "A="+strings.Repeat("x", 600<<10)), 413, "The user template would be too large")
	w.want("a large body", w.ask(w.lone, "PUT", "/vm", "A="+strings.Repeat("x", 10<<20)), 413, "The body is larger than 1048576 bytes")
	w.want("many attributes", w.ask(w.lone, "PUT", "/vm", strings.Repeat("A=1\n", 100_000)), 413, "too many attributes: expected at most 4096 in one update")
	w.want("a long name", w.ask(w.lone, "PUT", "/vm", strings.Repeat("N", 20_000)+"=1"), 413, "name of an attribute too long: expected at most 256 bytes")
	w.want("the server lives", w.ask(w.lone, "PUT", "/vm", "A=1"), 200, "")
	if got := flat(w.now(w.lone)); got != "A=1" {
		t.Errorf("left %.80s", got)
	}
}
