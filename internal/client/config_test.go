package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trifid-cloud/trifid/internal/client"
)

// place makes a home, a system directory and a data directory with the given
// files, and an environment that knows them.
func place(t *testing.T, files, vars map[string]string) client.Env {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return client.Env{
		VarDir: filepath.Join(dir, "var"),
		Getenv: func(name string) string {
			if name == "HOME" {
				return filepath.Join(dir, "home")
			}
			return strings.ReplaceAll(vars[name], "DIR", dir)
		},
	}
}

const published = `{"core":"http://127.0.0.1:9/RPC2","flow":"http://127.0.0.1:8","gate":"http://127.0.0.1:7"}`

func TestCoreSettings(t *testing.T) {
	cases := []struct {
		name        string
		files, vars map[string]string
		opt         client.Options
		endpoint    string
		session     string
	}{
		{"defaults", map[string]string{"home/.one/one_auth": "ana:pw \n"}, nil, client.Options{},
			client.DefaultEndpoint, "ana:pw"},
		{"options", map[string]string{"home/.one/one_auth": "ana:pw"}, map[string]string{"ONE_XMLRPC": "http://e/"},
			client.Options{Endpoint: "http://o/", User: "bob", Password: "x:y"}, "http://o/", "bob:x:y"},
		{"variables", map[string]string{"a": "eve:1", "home/.one/one_auth": "ana:pw", "home/.one/one_endpoint": "http://h/"},
			map[string]string{"ONE_XMLRPC": "http://e/", "ONE_AUTH": "DIR/a"}, client.Options{}, "http://e/", "eve:1"},
		{"ONE_AUTH absent", map[string]string{"home/.one/one_auth": "ana:pw"},
			map[string]string{"ONE_AUTH": "DIR/none"}, client.Options{}, client.DefaultEndpoint, "ana:pw"},
		{"ONE_AUTH is a directory", map[string]string{"home/.one/one_auth": "ana:pw"},
			map[string]string{"ONE_AUTH": "DIR/home"}, client.Options{}, client.DefaultEndpoint, "ana:pw"},
		{"home before system", map[string]string{"home/.one/one_endpoint": "http://h/\n", "var/.one/one_endpoint": "http://v/", "var/.one/one_auth": "sys:1"},
			nil, client.Options{}, "http://h/", "sys:1"},
		{"data directory", map[string]string{"d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published},
			map[string]string{"TRIFID_DATA": "DIR/d"}, client.Options{}, "http://127.0.0.1:9/RPC2", "oneadmin:1"},
		{"named data directory before files", map[string]string{"d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published, "home/.one/one_auth": "ana:pw", "home/.one/one_endpoint": "http://h/"},
			map[string]string{"TRIFID_DATA": "DIR/d"}, client.Options{}, "http://127.0.0.1:9/RPC2", "oneadmin:1"},
		{"variables before named data directory", map[string]string{"a": "eve:1", "d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published},
			map[string]string{"TRIFID_DATA": "DIR/d", "ONE_AUTH": "DIR/a", "ONE_XMLRPC": "http://e/"}, client.Options{}, "http://e/", "eve:1"},
		{"named data directory without credentials", map[string]string{"d/run/endpoints.json": published, "home/.one/one_auth": "ana:pw"},
			map[string]string{"TRIFID_DATA": "DIR/d"}, client.Options{}, "http://127.0.0.1:9/RPC2", "ana:pw"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := place(t, c.files, c.vars).Core(c.opt)
			if err != nil {
				t.Fatal(err)
			}
			if got.Endpoint != c.endpoint || got.Session != c.session {
				t.Errorf("got %s as %s, want %s as %s", got.Endpoint, got.Session, c.endpoint, c.session)
			}
		})
	}
}

func TestDefaultDataDir(t *testing.T) {
	env := place(t, map[string]string{"d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published}, nil)
	env.DataDir = filepath.Join(filepath.Dir(env.VarDir), "d")
	got, err := env.Core(client.Options{})
	if err != nil || got.Session != "oneadmin:1" || got.Endpoint != "http://127.0.0.1:9/RPC2" {
		t.Errorf("got %+v, %v", got, err)
	}
	// It is only the usual place: what lies at home is meant rather.
	env = place(t, map[string]string{"d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published, "home/.one/one_auth": "ana:pw", "home/.one/one_endpoint": "http://h/"}, nil)
	env.DataDir = filepath.Join(filepath.Dir(env.VarDir), "d")
	if got, err = env.Core(client.Options{}); err != nil || got.Session != "ana:pw" || got.Endpoint != "http://h/" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFlowSettings(t *testing.T) {
	cases := []struct {
		name        string
		files, vars map[string]string
		opt         client.Options
		endpoint    string
		session     string
	}{
		{"core's credentials", map[string]string{"home/.one/one_auth": "ana:pw"}, nil, client.Options{}, client.DefaultFlowURL, "ana:pw"},
		{"variables", nil, map[string]string{"ONEFLOW_URL": "http://f/", "ONEFLOW_USER": "u", "ONEFLOW_PASSWORD": "p"},
			client.Options{}, "http://f/", "u:p"},
		{"options win", nil, map[string]string{"ONEFLOW_URL": "http://f/", "ONEFLOW_USER": "u", "ONEFLOW_PASSWORD": "p"},
			client.Options{Endpoint: "http://o/", User: "v"}, "http://o/", "v:p"},
		{"endpoint file", map[string]string{"home/.one/one_auth": "ana:pw", "home/.one/oneflow_endpoint": "http://h/"},
			nil, client.Options{}, "http://h/", "ana:pw"},
		{"data directory", map[string]string{"d/auth/one_auth": "oneadmin:1", "d/run/endpoints.json": published},
			map[string]string{"TRIFID_DATA": "DIR/d"}, client.Options{}, "http://127.0.0.1:8", "oneadmin:1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := place(t, c.files, c.vars).Flow(c.opt)
			if err != nil {
				t.Fatal(err)
			}
			if got.Endpoint != c.endpoint || got.Session != c.session {
				t.Errorf("got %s as %s, want %s as %s", got.Endpoint, got.Session, c.endpoint, c.session)
			}
		})
	}
}

func TestNumbersOfSettings(t *testing.T) {
	auth := map[string]string{"home/.one/one_auth": "ana:pw"}
	for value, want := range map[string]int{"": client.DefaultPageSize, "50": 50, "off": 0, "1": 0, "-4": 0, "2": 2} {
		c, err := place(t, auth, map[string]string{"ONE_POOL_PAGE_SIZE": value}).Core(client.Options{})
		if err != nil || c.PageSize != want {
			t.Errorf("ONE_POOL_PAGE_SIZE=%s: got %d, %v, want %d", value, c.PageSize, err, want)
		}
	}
	c, err := place(t, auth, map[string]string{"ONE_XMLRPC_TIMEOUT": "1.5"}).Core(client.Options{})
	if err != nil || c.Timeout != 1500*time.Millisecond {
		t.Errorf("got %v, %v", c.Timeout, err)
	}
	for _, bad := range []string{"x", "0", "-1", "NaN", "1e9"} {
		if _, err := place(t, auth, map[string]string{"ONE_XMLRPC_TIMEOUT": bad}).Core(client.Options{}); err == nil {
			t.Errorf("ONE_XMLRPC_TIMEOUT=%s was accepted", bad)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	if _, err := place(t, nil, nil).Core(client.Options{}); !errors.Is(err, client.ErrNoCredentials) {
		t.Errorf("got %v", err)
	}
	if _, err := place(t, nil, nil).Flow(client.Options{}); !errors.Is(err, client.ErrNoCredentials) {
		t.Errorf("got %v", err)
	}
	if _, err := place(t, map[string]string{"home/.one/one_auth": "nocolon"}, nil).Core(client.Options{}); err == nil {
		t.Error("credentials without a colon were accepted")
	}
	big := strings.Repeat("x", 100_000) + ":y"
	if _, err := place(t, map[string]string{"home/.one/one_auth": big}, nil).Core(client.Options{}); err == nil {
		t.Error("a huge file was accepted")
	}
}
