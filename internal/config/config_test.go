package config

import (
	"os"
	"path/filepath"
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
	return Load(p)
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
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not name %q", text, err, want)
		}
	}
	if _, err := load(t, strings.Repeat("#", maxFile+1)); err == nil {
		t.Error("an oversized file is accepted")
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
		_ = c.merge([]byte(s))
	})
}
