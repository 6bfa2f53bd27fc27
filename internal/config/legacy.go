package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The original's onegate-server.conf and oneflow-server.conf: YAML whose keys are
// Ruby symbols. What such a file says, or is the default of the original's
// program where it says nothing, takes the place of the defaults of Config.

// legacy is such a file while it is read.
type legacy struct {
	to *Config
	// ignored lists keys of the file that mean nothing here.
	ignored []string
	// host and port are where the original's program listens.
	host string
	port int
}

// legacyKeys are the keys a file may have, and what reads their values.
type legacyKeys = map[string]func(*yaml.Node) error

// readLegacyFile reads one file into the settings, "" for none. It returns the keys that mean nothing here, with the file's name.
func readLegacyFile(path string, read func([]byte, *Config) ([]string, error), to *Config) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	ignored, err := read(text, to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, key := range ignored {
		ignored[i] = path + " " + key
	}
	return ignored, nil
}

// parse reads a file with the given keys, and those that both servers have.
func (l *legacy) parse(text []byte, keys legacyKeys) error {
	if len(text) > maxFile {
		return errTooLarge
	}
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return err
	}
	keys["host"], keys["port"] = word(&l.host), number(&l.port, 65535)
	keys["one_xmlrpc"] = l.elsewhere(":one_xmlrpc:")
	keys["debug_level"] = l.level(":debug_level:")
	keys["log"] = func(n *yaml.Node) error {
		return mapping(n, known(legacyKeys{"level": l.level(":log:/:level:"), "system": l.ignore(":log:/:system:")}))
	}
	for _, k := range []string{"core_auth", "expire_delta", "expire_margin"} {
		keys[k] = l.ignore(":" + k + ":")
	}
	if len(file.Content) > 0 {
		return mapping(file.Content[0], known(keys))
	}
	return nil
}

// listen is where the original's program listens.
func (l *legacy) listen() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

// ignore takes a key down as one that means nothing here.
func (l *legacy) ignore(key string) func(*yaml.Node) error {
	return func(*yaml.Node) error { l.ignored = append(l.ignored, key); return nil }
}

// level reads a level of logging, 0 to 3. It was that of one program of several,
// and is not taken for all.
func (l *legacy) level(key string) func(*yaml.Node) error {
	var i int
	return func(n *yaml.Node) error { return errors.Join(number(&i, 3)(n), l.ignore(key)(n)) }
}

// elsewhere reads where another server of the original is. Here that is the same
// program, which is worth a word only if the file means another machine.
func (l *legacy) elsewhere(key string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var at string
		if err := word(&at)(n); err != nil {
			return err
		}
		u, err := url.Parse(at)
		if err == nil && slices.Contains([]string{"", "localhost", "127.0.0.1", "::1"}, u.Hostname()) {
			return nil
		}
		return l.ignore(key)(n)
	}
}

// errUnknownKey refuses a key nobody knows.
var errUnknownKey = errors.New("unknown key")

// known calls the function of each key.
func known(keys legacyKeys) func(string, *yaml.Node) error {
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

// clip shortens what is shown of a file that is wrong.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
