package gate

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trifid-cloud/trifid/internal/config"
)

// LegacyConf is what an onegate-server.conf of the original says, with the
// defaults that the original's program has for what it does not say.
// Source: OneGate reference §3.
type LegacyConf struct {
	Listen    string // host:port
	PublicURL string // :ssl_server:
	LogLevel  string // debug, info, warn or error
	// Core and Flow are where the original found these servers. Here they are in
	// the same program, so that they matter only if they say somewhere else.
	Core, Flow string
	// Gate holds the settings that have the same meaning here: permissions,
	// restricted attributes and actions, attributes of networks.
	Gate config.Gate
	// Ignored lists keys of the file that mean nothing here.
	Ignored []string
}

// maxLegacyConf bounds such a file, in bytes.
const maxLegacyConf = 1 << 20

// legacyPermissions are the permissions there are; those that a file leaves out of
// its list are denied.
var legacyPermissions = map[string][]string{
	"vm":      {"show", "show_by_id", "update", "update_by_id", "action_by_id"},
	"service": {"show", "change_cardinality"},
	"vrouter": {"show"},
	"vnet":    {"show_by_id"},
}

// ParseLegacyConf reads an onegate-server.conf: YAML whose keys are Ruby symbols.
// Every error is about a line and names its key.
func ParseLegacyConf(text []byte) (LegacyConf, error) {
	base := config.Default().Gate
	c := LegacyConf{LogLevel: "warn", Gate: config.Gate{
		RestrictedAttrs: base.RestrictedAttrs, RestrictedActions: base.RestrictedActions, VNetAttributes: base.VNetAttributes,
	}}
	if len(text) > maxLegacyConf {
		return c, fmt.Errorf("larger than %d bytes", maxLegacyConf)
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return c, err
	}
	host, port := "127.0.0.1", 5030
	list := func(n *yaml.Node, to *[]string) error {
		if n.Tag == "!!null" {
			return nil // the default
		}
		*to = []string{}
		return n.Decode(to)
	}
	keys := map[string]func(*yaml.Node) error{
		"host":       word(&host),
		"port":       number(&port, 65535),
		"ssl_server": word(&c.PublicURL),
		"server": func(n *yaml.Node) error {
			return mapping(n, func(key string, v *yaml.Node) error {
				switch key {
				case "bind":
					return word(&host)(v)
				case "port":
					return number(&port, 65535)(v)
				}
				c.Ignored = append(c.Ignored, ":server:/:"+key+":")
				return nil
			})
		},
		"debug_level": c.level,
		"log": func(n *yaml.Node) error {
			return mapping(n, known(map[string]func(*yaml.Node) error{"level": c.level, "system": c.ignore(":log:/:system:")}))
		},
		"one_xmlrpc":               word(&c.Core),
		"oneflow_server":           word(&c.Flow),
		"permissions":              c.permissions,
		"restricted_attrs":         func(n *yaml.Node) error { return list(n, &c.Gate.RestrictedAttrs) },
		"restricted_actions":       func(n *yaml.Node) error { return list(n, &c.Gate.RestrictedActions) },
		"vnet_template_attributes": func(n *yaml.Node) error { return list(n, &c.Gate.VNetAttributes) },
		"auth": func(n *yaml.Node) error {
			if n.Value != "onegate" {
				return fmt.Errorf("%q; expected onegate", n.Value)
			}
			return nil
		},
	}
	for _, k := range []string{"core_auth", "expire_delta", "expire_margin"} {
		keys[k] = c.ignore(":" + k + ":")
	}
	if len(file.Content) > 0 {
		if err := mapping(file.Content[0], known(keys)); err != nil {
			return c, err
		}
	}
	if _, _, err := restrictions(c.Gate.RestrictedAttrs); err != nil {
		return c, fmt.Errorf(":restricted_attrs:: %w", err)
	}
	c.Listen = net.JoinHostPort(host, strconv.Itoa(port))
	return c, nil
}

// ignore takes a key down as one that means nothing here.
func (c *LegacyConf) ignore(key string) func(*yaml.Node) error {
	return func(*yaml.Node) error { c.Ignored = append(c.Ignored, key); return nil }
}

// level reads a level of logging: 0 errors to 3 everything.
func (c *LegacyConf) level(n *yaml.Node) error {
	var i int
	if err := number(&i, 3)(n); err != nil {
		return err
	}
	c.LogLevel = [...]string{"error", "warn", "info", "debug"}[i]
	return nil
}

func (c *LegacyConf) permissions(n *yaml.Node) error {
	c.Gate.Permissions = map[string]map[string]bool{}
	for resource, actions := range legacyPermissions {
		c.Gate.Permissions[resource] = map[string]bool{}
		for _, a := range actions {
			c.Gate.Permissions[resource][a] = false
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
			c.Gate.Permissions[resource][action] = allowed
			return nil
		})
	})
}

// errUnknownKey refuses a key nobody knows.
var errUnknownKey = errors.New("unknown key")

// known calls the function of each key.
func known(keys map[string]func(*yaml.Node) error) func(string, *yaml.Node) error {
	return func(key string, v *yaml.Node) error {
		if f, ok := keys[key]; ok {
			return f(v)
		}
		return errUnknownKey
	}
}

// keyError is what is wrong with one key of a file.
type keyError struct {
	line int
	path string
	err  error
}

func (e *keyError) Error() string { return fmt.Sprintf("line %d: %s: %v", e.line, e.path, e.err) }
func (e *keyError) Unwrap() error { return e.err }

// mapping calls f with each key of a mapping, without its colon, and its value.
// It returns the first error, with line and path.
func mapping(n *yaml.Node, f func(key string, v *yaml.Node) error) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return errors.New("expected keys and values")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		name, symbol := strings.CutPrefix(k.Value, ":")
		var err error
		switch {
		case k.Kind != yaml.ScalarNode || !symbol:
			err = fmt.Errorf("expected a key with a colon before it, such as :%s:", clip(name))
		case seen[name]:
			err = errors.New("given twice")
		default:
			err = f(name, v)
		}
		seen[name] = true
		var inner *keyError
		switch {
		case err == nil:
		case errors.As(err, &inner):
			return &keyError{inner.line, clip(k.Value) + ":/" + inner.path, inner.err}
		default:
			return &keyError{k.Line, clip(k.Value) + ":", err}
		}
	}
	return nil
}

// word reads a string; null leaves the default.
func word(to *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return errors.New("expected a text")
		}
		if n.Tag != "!!null" {
			*to = n.Value
		}
		return nil
	}
}

// number reads a number from 0 to most.
func number(to *int, most int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < 0 || v > most {
			return fmt.Errorf("%q; expected a number from 0 to %d", clip(n.Value), most)
		}
		*to = v
		return nil
	}
}
