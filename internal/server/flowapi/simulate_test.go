package flowapi_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/golden"
)

// zone is that of the server, which is the test's.
var zone = regexp.MustCompile(`("start": "2024-01-05T08:58:00)[^"]*`)

func TestSimulate(t *testing.T) {
	s := newServer(t)
	tid, sid := s.running(t)
	template, service := fmt.Sprintf("/service_template/%d/simulate", tid), fmt.Sprintf("/service/%d/simulate", sid)
	const load = `"metrics":"time,role,LOAD\n0,front,90\n300,front,10\n","start":"2024-01-05 08:58:00","until":400,"boot":20`
	w := s.ask(admin, "POST", template, "{"+load+"}")
	if got := w.Header().Get("Content-Type"); w.Code != 200 || got != "application/json" {
		t.Fatalf("%d %s: %s", w.Code, got, w.Body)
	}
	golden.Check(t, "testdata/simulate.json", zone.ReplaceAllString(w.Body.String(), "${1}Z"))
	if got := s.want(t, 200, "POST", service, "{"+load+"}"); !strings.Contains(got, `"text": "scaled front 2→3: LOAD 90.0 > 80 for 3×10 s"`) {
		t.Errorf("the service: %s", got)
	}
	other := strings.ReplaceAll(web, "LOAD > 80", "LOAD > 99")
	if got := s.want(t, 200, "POST", template, `{"template":`+other+","+load+"}"); !strings.Contains(got, `"decisions": []`) {
		t.Errorf("another template: %s", got)
	}
	for body, want := range map[string]string{
		`{`:                              "invalid JSON at byte 1: unexpected end\nat line 1 column 2: expected JSON",
		`[]`:                             "the body must be a JSON object",
		`{}`:                             "until is missing: expected the seconds to simulate, because the metrics have no lines",
		`{"metrics":"time\nx\n"}`:        `metrics, line 2 column 1: "x": expected seconds since the start, from 0 to 2678400, or a date such as 2026-01-31 09:00:00`,
		`{"metrics":"time,role\n0,x\n"}`: `metrics: "x" is not a role of the service`,
		`{"metrics":5}`:                  "metrics is wrong\nat metrics, line 1 column 12: expected a string",
		`{"until":"5"}`:                  "until is wrong\nat until, line 1 column 10: expected seconds from 0 to 2678400",
		`{"until":1e9}`:                  "until is wrong\nat until, line 1 column 10: expected seconds from 0 to 2678400",
		`{"boot":-1}`:                    "boot is wrong\nat boot, line 1 column 9: expected seconds from 0 to 2678400",
		`{"flap_periods":1.5}`:           "flap_periods is wrong\nat flap_periods, line 1 column 17: expected a whole number from 0 to 1000",
		`{"untill":5}`:                   "\"untill\" is not known\nat untill, line 1 column 11: expected no members but metrics, start, until, boot, shutdown, flap_periods, template",
		`{"until":5,"start":"noon"}`:     `start: "noon": expected a date with a time such as 2026-01-31 09:00:00`,
		"{\"until\":5,\"template\":\n{\"name\":5}}":                         "KEY: 'name' must be a String;\nat name, line 2 column 9: expected a string",
		`{"start":"2024-01-01 00:00","metrics":"time\n2024-01-01 00:00\n"}`: "start: the metrics have dates and begin with the first of them, expected no other start",
	} {
		for _, path := range []string{template, service} {
			if got := s.want(t, 400, "POST", path, body); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", body, got, want)
			}
		}
	}
	for _, path := range []string{template, service} {
		if w := s.ask(ana, "POST", path, `{"until":5}`); w.Code != 401 {
			t.Errorf("%s: ana: %d %s", path, w.Code, w.Body)
		}
	}
	s.want(t, 404, "POST", "/service/99/simulate", `{"until":5}`)
}
