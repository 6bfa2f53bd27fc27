package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "trifid.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(p)
	return c, err
}

func TestFileIsReadOverTheDefaults(t *testing.T) {
	c, err := load(t, "flow:\n  default_cooldown: 10\n  elasticity_min_interval: 250ms\nlisten: {gate: '10.0.0.1:0'}\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.Flow.DefaultCooldown.Std() != 10*time.Second || c.Flow.MinInterval.Std() != 250*time.Millisecond {
		t.Errorf("durations: %v %v", c.Flow.DefaultCooldown.Std(), c.Flow.MinInterval.Std())
	}
	if c.Listen.Gate != "10.0.0.1:0" || c.Listen.Core != Default().Listen.Core {
		t.Errorf("listen: %+v", c.Listen)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"colour: red":                          "colour",
		"flow: {default_cooldown: soon}":       "soon",
		"hypervisor: {driver: xen}":            "hypervisor.driver",
		"listen: {core: nowhere}":              "listen.core",
		"listen: {core: 'x:99999'}":            "listen.core",
		"core: {mac_prefix: zz}":               "core.mac_prefix",
		"hypervisor: {sim: {failure_rate: 2}}": "failure_rate",
		"gate: {certificate: a.pem}":           "gate.key",
		"gate: {endpoint: '10.0.0.1:5030'}":    "gate.endpoint",
		"agent: {gate: nearby}":                "agent.gate",
		"gate: {public_url: 'ftp://a'}":        "gate.public_url",
		"gate: {restricted_attrs: [A/B/C]}":    "gate.restricted_attrs",
		"listen: {metrics: '9090'}":            "listen.metrics",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not name %q", text, err, want)
		}
	}
	if _, err := load(t, strings.Repeat("#", maxFile+1)); err == nil {
		t.Error("an oversized file is accepted")
	}
}

// What the file says wins over files of the original that it names, and those
// over the defaults.
func TestFilesOfTheOriginal(t *testing.T) {
	dir := t.TempDir()
	gate, flow, main := filepath.Join(dir, "onegate-server.conf"), filepath.Join(dir, "oneflow-server.conf"), filepath.Join(dir, "trifid.yaml")
	for path, text := range map[string]string{
		gate: ":port: 5031\n:auth: onegate\n:core_auth: x509\n:permissions:\n  :vm:\n    :show: true\n:restricted_actions: []\n",
		flow: ":default_cooldown: 7\n:action_period: 8\n:concurrency: 3\n",
		main: "gate: {legacy_conf: " + gate + ", permissions: {vm: {update: true}}, restricted_attrs: [A]}\n" +
			"flow: {legacy_conf: " + flow + ", action_period: 9}\nlisten: {flow: '127.0.0.1:1'}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, ignored, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{gate + " :core_auth:", flow + " :concurrency:"}; !reflect.DeepEqual(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
	if c.Listen.Gate != "127.0.0.1:5031" || c.Listen.Flow != "127.0.0.1:1" || c.Listen.Core != Default().Listen.Core {
		t.Errorf("listen: %+v", c.Listen)
	}
	if c.Flow.DefaultCooldown.Std() != 7*time.Second || c.Flow.ActionPeriod.Std() != 9*time.Second {
		t.Errorf("flow: %+v", c.Flow)
	}
	if want := map[string]bool{"show": true, "show_by_id": false, "update": true, "update_by_id": false, "action_by_id": false}; !reflect.DeepEqual(c.Gate.Permissions["vm"], want) {
		t.Errorf("permissions: %v, want %v", c.Gate.Permissions["vm"], want)
	}
	if !reflect.DeepEqual(c.Gate.RestrictedAttrs, []string{"A"}) || len(c.Gate.RestrictedActions) != 0 {
		t.Errorf("restricted: %v, %v", c.Gate.RestrictedAttrs, c.Gate.RestrictedActions)
	}

	for text, want := range map[string]string{
		"gate: {legacy_conf: " + dir + "/none}": "gate.legacy_conf: open " + dir + "/none",
		"flow: {legacy_conf: " + gate + "}":     "flow.legacy_conf: " + gate + ": line 2: :auth:: unknown key",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: {core: '1:2'}\nflow: {default_cooldown: 3}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(_ *testing.T, s string) {
		c := Default()
		_, _ = c.merge([]byte(s))
	})
}
