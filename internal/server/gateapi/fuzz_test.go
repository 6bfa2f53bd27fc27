package gateapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/one"
)

// direct makes a request without a connection.
func (w *world) direct(t testing.TB, v *one.VM, method, target, body string, header http.Header) *httptest.ResponseRecorder {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil // no server gets to see it
	}
	req := httptest.NewRequest("GET", "/", strings.NewReader(body))
	req.Method, req.URL = method, u
	req.Header = header
	if v != nil {
		req.Header.Set("X-ONEGATE-TOKEN", token(t, v))
		req.Header.Set("X-ONEGATE-VMID", itoa(v.ID))
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, req)
	return rec
}

// statuses a guest may meet without there being a fault of ours.
func fair(status int) bool {
	switch status {
	case 200, 204, 304, 400, 401, 403, 404, 413, 429, 500, 503:
		return true
	}
	return false
}

func FuzzToken(f *testing.F) {
	w := newWorld(f, settings{})
	good := token(f, w.lone)
	f.Add(good, itoa(w.lone.ID))
	f.Add(" "+good+"\r\n", " "+itoa(w.lone.ID)+"x")
	f.Add(good[:20], "-1")
	f.Add(strings.TrimRight(good, "="), "+0")
	f.Add(token(f, w.other), itoa(w.lone.ID))
	f.Fuzz(func(t *testing.T, tok, id string) {
		h := http.Header{"X-Onegate-Token": {tok}, "X-Onegate-Vmid": {id}}
		rec := w.direct(t, nil, "GET", "/vm", "", h)
		switch rec.Code {
		case 401:
			if strings.TrimSpace(tok) == good && id == itoa(w.lone.ID) {
				t.Fatalf("the token was refused as %q", tok)
			}
		case 200:
			// What is taken holds the characters of a real token, whatever is between.
			plain := strings.Map(func(r rune) rune {
				if r == '+' || r == '/' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
					return r
				}
				return -1
			}, tok)
			known := false
			for _, v := range []*one.VM{w.lone, w.other, w.web0, w.web1, w.db0, w.forged, w.routerA, w.routerB, w.stranger, w.hidden} {
				real := strings.TrimRight(token(t, v), "=")
				known = known || len(plain) >= len(real)-1 && plain[:len(real)-1] == real[:len(real)-1]
			}
			if !known {
				t.Fatalf("the token %q of VM %q was taken", tok, id)
			}
		default:
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
	})
}

func FuzzBody(f *testing.F) {
	w := newWorld(f, settings{})
	f.Add("PUT", "/vm", form, "LOAD = 9.7")
	f.Add("PUT", "/vm", form, `data=A%3D1%5CnB%3D2&type=1`)
	f.Add("PUT", "/vm", form, "data=ACTIVE&type=2")
	f.Add("PUT", "/vm?type=2", "", "SERVICE_ID")
	f.Add("PUT", "/vm", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\nA=1\r\n--x--\r\n")
	f.Add("PUT", "/vm", "", "<T><SERVICE_ID>1</SERVICE_ID></T>")
	f.Add("GET", "/service", form, "extended=true")
	f.Add("POST", "/vms/2/action", form, `{"action":{"perform":"hold"}}`)
	f.Add("PUT", "/service/role/web", form, `{"cardinality":"4"}`)
	before := w.now(w.lone)
	f.Fuzz(func(t *testing.T, method, target, typ, body string) {
		if strings.Contains(target, "watch") {
			return // that would wait
		}
		rec := w.direct(t, w.web0, method, target, body, http.Header{"Content-Type": {typ}})
		if rec == nil {
			return
		}
		if !fair(rec.Code) {
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		if strings.Contains(rec.Body.String(), "see the server's log") {
			t.Fatalf("a fault of ours: %s", rec.Body)
		}
		if w.now(w.lone) != before {
			t.Fatal("a VM was changed that the guest may not address")
		}
		v := w.now(w.web0)
		if v.UserTemplate.Get("SERVICE_ID") != "0" || v.UserTemplate.Get("ROLE_NAME") != "web" || len(v.UserTemplate.Named("SERVICE_ID")) != 1 {
			t.Fatalf("a restricted attribute was changed: %s", flat(v))
		}
		if v.UserTemplate.Len() > 50 { // so that rounds stay quick
			if err := w.Cloud.UpdateVM(w.Context(), w.Admin, v.ID, w.web0.UserTemplate, 0); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	w := newWorld(f, settings{})
	for _, s := range []string{"/vm", "/vms/0?id=1", "/vms/%30", "/vnet/%2F", "/service/role/a%2Fb", "/vms/0/action?type=%zz&&=", "//", "/vms/99999999999999999999", "/?%00"} {
		f.Add("GET", s)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		if strings.Contains(target, "watch") {
			return
		}
		for _, v := range []*one.VM{nil, w.lone, w.routerA} {
			rec := w.direct(t, v, method, target, "", http.Header{})
			if rec == nil {
				return
			}
			if !fair(rec.Code) || v == nil && rec.Code < 400 {
				t.Fatalf("status %d: %s", rec.Code, rec.Body)
			}
			if v == w.lone && rec.Code == 200 && rec.Body.Len() > 0 && !strings.Contains(rec.Body.String(), `"ID":"0"`) && !strings.Contains(rec.Body.String(), "vm_info") {
				t.Fatalf("VM 0 was shown %s", rec.Body)
			}
		}
	})
}
