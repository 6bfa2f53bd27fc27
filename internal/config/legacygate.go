package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// legacyPermissions are the permissions there are; those that a file leaves out of
// its list are denied.
var legacyPermissions = map[string][]string{
	"vm":      {"show", "show_by_id", "update", "update_by_id", "action_by_id"},
	"service": {"show", "change_cardinality"},
	"vrouter": {"show"},
	"vnet":    {"show_by_id"},
}

// readLegacyGate reads an onegate-server.conf. Every error names line and key.
// Source: OneGate reference §3.
func readLegacyGate(text []byte, to *Config) (ignored []string, err error) {
	l := &legacy{to: to, host: "127.0.0.1", port: 5030}
	g := &to.Gate
	list := func(to *[]string) func(*yaml.Node) error {
		return func(n *yaml.Node) error {
			if n.Tag == "!!null" {
				return nil // the default
			}
			*to = []string{}
			return n.Decode(to)
		}
	}
	err = l.parse(text, legacyKeys{
		"ssl_server": word(&g.PublicURL),
		"server": func(n *yaml.Node) error {
			return mapping(n, func(key string, v *yaml.Node) error {
				switch key {
				case "bind":
					return word(&l.host)(v)
				case "port":
					return number(&l.port, 65535)(v)
				}
				return l.ignore(":server:/:" + key + ":")(v)
			})
		},
		"oneflow_server":           l.elsewhere(":oneflow_server:"),
		"permissions":              l.permissions,
		"restricted_attrs":         list(&g.RestrictedAttrs),
		"restricted_actions":       list(&g.RestrictedActions),
		"vnet_template_attributes": list(&g.VNetAttributes),
		"auth": func(n *yaml.Node) error {
			if n.Value != "onegate" {
				return fmt.Errorf("%q; expected onegate", n.Value)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if _, err := tmpl.NewRestricted(g.RestrictedAttrs); err != nil {
		return nil, fmt.Errorf(":restricted_attrs:: %w", err)
	}
	to.Listen.Gate = l.listen()
	return l.ignored, nil
}

func (l *legacy) permissions(n *yaml.Node) error {
	l.to.Gate.Permissions = map[string]map[string]bool{}
	for resource, actions := range legacyPermissions {
		l.to.Gate.Permissions[resource] = map[string]bool{}
		for _, a := range actions {
			l.to.Gate.Permissions[resource][a] = false
		}
	}
	return mapping(n, func(resource string, of *yaml.Node) error {
		actions, ok := legacyPermissions[resource]
		if !ok {
			return errUnknownKey
		}
		return mapping(of, func(action string, v *yaml.Node) error {
			if !slices.Contains(actions, action) {
				return errUnknownKey
			}
			var allowed bool
			if v.Decode(&allowed) != nil {
				return fmt.Errorf("%q; expected true or false", v.Value)
			}
			l.to.Gate.Permissions[resource][action] = allowed
			return nil
		})
	})
}
