package onegate

import (
	"errors"
	"strings"
)

// errHelp says that the help was asked for.
var errHelp = errors.New("help")

// option is one command line option.
type option struct {
	short byte // 0 if it has none
	long  string
	value bool // it takes a value
}

var optionTable = [...]option{
	{'d', "data", true}, {'e', "erase", true}, {'r', "role", true}, {'c', "cardinality", true},
	{'j', "json", false}, {0, "extended", false}, {'f', "hard", false}, {'h', "help", false},
	{0, "once", false}, {0, "interval", true}, {0, "version", false},
}

// options is a parsed command line.
type options struct {
	words []string  // in order, whatever options stood between them
	given []setting // in the order in which they were first given
}

// setting is an option given, by the name it has in a request's form.
type setting struct{ name, value string }

func (o *options) word(i int) string {
	if i < len(o.words) {
		return o.words[i]
	}
	return ""
}

func (o *options) get(name string) (string, bool) {
	for _, s := range o.given {
		if s.name == name {
			return s.value, true
		}
	}
	return "", false
}

func (o *options) has(name string) bool {
	_, ok := o.get(name)
	return ok
}

// set records an option; a repeated one keeps its place and takes the new value.
func (o *options) set(name, value string) {
	for i := range o.given {
		if o.given[i].name == name {
			o.given[i].value = value
			return
		}
	}
	o.given = append(o.given, setting{name, value})
}

// parseOptions reads the command line as the reference's option parser does:
// options anywhere, --name=value, unambiguous beginnings of long names, joined
// short ones (-jf, -dA=1), and -- to end them.
func parseOptions(args []string) (*options, error) {
	o := &options{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			o.words = append(o.words, args...)
			args = nil
		case strings.HasPrefix(arg, "--"):
			args, err = o.long(arg, args)
		case len(arg) > 1 && arg[0] == '-':
			args, err = o.short(arg, args)
		default:
			o.words = append(o.words, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	if o.has("version") {
		o.words = []string{"version"}
	}
	return o, nil
}

// long reads a --name or --name=value, and returns the arguments left.
func (o *options) long(arg string, rest []string) ([]string, error) {
	name, value, joined := strings.Cut(arg[2:], "=")
	var match []option
	for _, opt := range optionTable {
		if opt.long == name {
			match = []option{opt}
			break
		}
		if strings.HasPrefix(opt.long, name) && name != "" {
			match = append(match, opt)
		}
	}
	switch {
	case len(match) == 0:
		return nil, broken("invalid option: %s", arg)
	case len(match) > 1:
		return nil, broken("ambiguous option: %s", arg)
	case joined && !match[0].value:
		return nil, broken("needless argument: %s", arg)
	case match[0].value && !joined:
		if len(rest) == 0 {
			return nil, broken("missing argument: %s", arg)
		}
		value, rest = rest[0], rest[1:]
	}
	return rest, o.apply(match[0], value)
}

// short reads one or more options behind a single dash.
func (o *options) short(arg string, rest []string) ([]string, error) {
next:
	for i := 1; i < len(arg); i++ {
		for _, opt := range optionTable {
			if opt.short != arg[i] {
				continue
			}
			if !opt.value {
				if err := o.apply(opt, ""); err != nil {
					return nil, err
				}
				continue next
			}
			value := arg[i+1:]
			if value == "" {
				if len(rest) == 0 {
					return nil, broken("missing argument: -%c", arg[i])
				}
				value, rest = rest[0], rest[1:]
			}
			return rest, o.apply(opt, value)
		}
		return nil, broken("invalid option: -%c", arg[i])
	}
	return rest, nil
}

// apply gives an option its meaning: --data and --erase are one setting each,
// and another that says which of them it was.
func (o *options) apply(opt option, value string) error {
	switch {
	case opt.long == "help":
		return errHelp
	case opt.long == "data":
		o.set("data", value)
		o.set("type", "1")
	case opt.long == "erase":
		o.set("data", value)
		o.set("type", "2")
	case opt.value:
		o.set(opt.long, value)
	default:
		o.set(opt.long, "true")
	}
	return nil
}

// form encodes the settings as a request body, in their order.
// Source: OneGate reference §4.2, "on update all parsed options".
func form(settings ...setting) string {
	var b strings.Builder
	for i, s := range settings {
		if i > 0 {
			b.WriteByte('&')
		}
		encode(&b, s.name)
		b.WriteByte('=')
		encode(&b, s.value)
	}
	return b.String()
}

// encode writes a form value. It is not url.QueryEscape: the reference leaves
// '*' and escapes '~'.
func encode(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("*-._", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
