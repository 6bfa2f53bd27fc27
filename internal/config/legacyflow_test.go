package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// A file as 7.4 has it, with a few settings changed.
const legacyFlow74 = `# OneFlow
:one_xmlrpc: http://frontend.example.org:2633/RPC2
:subscriber_endpoint: tcp://localhost:2101
:autoscaler_interval: 90
:host: 0.0.0.0
:port: 2475
:force_deletion: false
:retries: 5
:default_cooldown: 30
:wait_timeout: 30
:concurrency: 10
:shutdown_action: 'terminate-hard'
:action_number: 2
:action_period: 45
:vm_name_template: '$SERVICE_NAME-$ROLE_NAME-$VM_NUMBER'
#:vn_name_template: '$ROLE_NAME(service_$SERVICE_ID)'
:vr_name_template: '$SERVICE_NAME-$ROLE_NAME'
:page_size: 10
:core_auth: cipher
:log:
  :level: 2
  :system: 'file'
`

func TestLegacyFlow(t *testing.T) {
	c, want := Default(), Default()
	ignored, err := readLegacyFlow([]byte(legacyFlow74), &c)
	if err != nil {
		t.Fatal(err)
	}
	want.Listen.Flow = "0.0.0.0:2475"
	want.Flow.DefaultCooldown, want.Flow.ActionPeriod = Duration(30*time.Second), Duration(45*time.Second)
	want.Flow.ActionNumber, want.Flow.ShutdownAction = 2, "terminate-hard"
	want.Flow.VMNameTemplate, want.Flow.VRNameTemplate = "$SERVICE_NAME-$ROLE_NAME-$VM_NUMBER", "$SERVICE_NAME-$ROLE_NAME"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if want := []string{
		":one_xmlrpc:", ":subscriber_endpoint:", ":autoscaler_interval:", ":force_deletion:", ":retries:", ":wait_timeout:",
		":concurrency:", ":page_size:", ":core_auth:", ":log:/:level:", ":log:/:system:",
	}; !reflect.DeepEqual(ignored, want) {
		t.Errorf("ignored %q, want %q", ignored, want)
	}
}

// A file of 4.6: other keys, and what it does not say is as in the original.
func TestLegacyFlow46(t *testing.T) {
	c, want := Default(), Default()
	ignored, err := readLegacyFlow([]byte(":lcm_interval: 30\n:default_cooldown: 300\n:shutdown_action: shutdown\n:debug_level: 2\n"), &c)
	want.Flow.ShutdownAction = "shutdown"
	if err != nil || !reflect.DeepEqual(c, want) || !reflect.DeepEqual(ignored, []string{":lcm_interval:", ":debug_level:"}) {
		t.Errorf("%+v, %q, %v", c, ignored, err)
	}
}

func TestLegacyFlowRefuses(t *testing.T) {
	for text, want := range map[string]string{
		":default_coldown: 3\n":        "line 1: :default_coldown:: unknown key",
		"\n:default_cooldown: soon\n":  `line 2: :default_cooldown:: "soon"; expected a number from 0 to 1000000000`,
		":action_period: -1\n":         `line 1: :action_period:: "-1"; expected a number from 0`,
		":shutdown_action: reboot\n":   `line 1: :shutdown_action:: "reboot"; expected terminate, terminate-hard, shutdown, shutdown-hard`,
		":debug_level: 9\n":            `line 1: :debug_level:: "9"; expected a number from 0 to 3`,
		":one_xmlrpc: [a]\n":           "line 1: :one_xmlrpc:: expected a text",
		"- a\n":                        "expected keys and values",
		strings.Repeat("#", maxFile+1): "larger than",
	} {
		c := Default()
		if _, err := readLegacyFlow([]byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

func FuzzLegacyFlow(f *testing.F) {
	f.Add([]byte(legacyFlow74))
	f.Add([]byte(":log: &l\n  :level: *l\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		c := Default()
		_, _ = readLegacyFlow(text, &c)
	})
}
