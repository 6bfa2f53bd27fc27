package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// shutdownActions are how VMs of services may end.
var shutdownActions = []string{"terminate", "terminate-hard", "shutdown", "shutdown-hard"}

// readLegacyFlow reads a oneflow-server.conf. Every error names line and key.
// Source: OneFlow reference §8.
func readLegacyFlow(text []byte, to *Config) (ignored []string, err error) {
	l := &legacy{to: to, host: "127.0.0.1", port: 2474}
	f := &to.Flow
	keys := legacyKeys{
		"default_cooldown": seconds(&f.DefaultCooldown),
		"action_number":    number(&f.ActionNumber, maxActionNumber),
		"action_period":    seconds(&f.ActionPeriod),
		"vm_name_template": word(&f.VMNameTemplate),
		"vr_name_template": word(&f.VRNameTemplate),
		"shutdown_action": func(n *yaml.Node) error {
			if err := word(&f.ShutdownAction)(n); err != nil {
				return err
			}
			if !slices.Contains(shutdownActions, f.ShutdownAction) {
				return fmt.Errorf("%q; expected %s", clip(f.ShutdownAction), strings.Join(shutdownActions, ", "))
			}
			return nil
		},
	}
	// How often it looks, what it looks at, and how many it does at a time: here
	// nothing looks, changes are told.
	for _, k := range []string{
		"subscriber_endpoint", "lcm_interval", "autoscaler_interval", "wait_timeout", "concurrency", "retries",
		"force_deletion", "vn_name_template", "page_size",
	} {
		keys[k] = l.ignore(":" + k + ":")
	}
	if err := l.parse(text, keys); err != nil {
		return nil, err
	}
	to.Listen.Flow = l.listen()
	return l.ignored, nil
}

// maxActionNumber is far above what anybody does at a time.
const maxActionNumber = 1_000_000

// seconds reads a number of seconds.
func seconds(to *Duration) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		s := int(to.Std() / time.Second)
		if err := number(&s, 1_000_000_000)(n); err != nil {
			return err
		}
		*to = Duration(time.Duration(s) * time.Second)
		return nil
	}
}
