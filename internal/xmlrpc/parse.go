package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Call is a method call as received. Its first parameter is a secret.
type Call struct {
	Method string
	Params []Value
}

// maxMethodName bounds a method's name, which comes back in faults.
const maxMethodName = 256

// ParseCall reads a call. It retains nothing of b. Every error is a *Fault.
func ParseCall(b []byte, limits Limits) (Call, error) {
	var c Call
	err := parseMessage(b, limits, "methodCall", "Call", func(p *parser, root tag) error {
		return p.call(root, &c)
	})
	if m := (*malformed)(nil); errors.As(err, &m) {
		return Call{}, &Fault{Code: m.code, Message: m.message}
	}
	return c, err
}

// parser reads values.
type parser struct {
	scanner
	limits Limits
	values int
	depth  int
}

// parseMessage reads a document of one root element, whose content is read by
// body unless the element is empty.
func parseMessage(b []byte, limits Limits, root, subject string, body func(*parser, tag) error) error {
	p := &parser{limits: limits.withDefaults()}
	p.subject = subject
	if len(b) > p.limits.MaxBytes {
		return &malformed{FaultLimit, tooBig(p.limits).Message}
	}
	if err := p.start(b); err != nil {
		return err
	}
	t, err := p.next()
	if err != nil {
		return err
	}
	if string(t.name) != root || t.close {
		return &malformed{FaultParse, fmt.Sprintf(
			"XML-RPC %s should be a <%s> element.  Instead, we have a <%.64s> element.", strings.ToLower(subject), root, t.name)}
	}
	if err := body(p, t); err != nil {
		return err
	}
	if err := p.misc(); err != nil {
		return err
	}
	if p.pos < len(p.b) {
		return p.bad("unexpected content behind </%s>", root)
	}
	return nil
}

func (p *parser) call(root tag, c *Call) error {
	if root.empty {
		return p.bad("<methodCall> has no <methodName>")
	}
	if err := p.open("methodName"); err != nil {
		return err
	}
	name, err := p.text()
	if err != nil {
		return err
	}
	name = bytes.TrimSpace(name)
	if len(name) == 0 || len(name) > maxMethodName {
		return p.bad("<methodName> has %d bytes, expected 1 to %d", len(name), maxMethodName)
	}
	c.Method = string(name)
	if err := p.end("methodName"); err != nil {
		return err
	}
	t, err := p.next()
	if err != nil {
		return err
	}
	if !t.close {
		if string(t.name) != "params" {
			return p.bad("unexpected <%.64s>, expected <params>", t.name)
		}
		if !t.empty {
			c.Params = make([]Value, 0, 8)
			if err := p.params(&c.Params); err != nil {
				return err
			}
		}
		if t, err = p.next(); err != nil {
			return err
		}
	}
	return p.checkEnd(t, "methodCall")
}

// params reads what stands between <params> and </params>.
func (p *parser) params(params *[]Value) error {
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		if t.close {
			return p.checkEnd(t, "params")
		}
		if string(t.name) != "param" || t.empty {
			return p.bad("unexpected <%.64s>, expected <param>", t.name)
		}
		v, err := p.namedValue()
		if err != nil {
			return err
		}
		if err := p.end("param"); err != nil {
			return err
		}
		*params = append(*params, v)
	}
}

// open reads the tag <name>.
func (p *parser) open(name string) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	if t.close || t.empty || string(t.name) != name {
		return p.bad("unexpected <%.64s>, expected <%s>", t.name, name)
	}
	return nil
}

// end reads the tag </name>.
func (p *parser) end(name string) error {
	t, err := p.next()
	if err != nil {
		return err
	}
	return p.checkEnd(t, name)
}

func (p *parser) checkEnd(t tag, name string) error {
	if !t.close || string(t.name) != name {
		return p.bad("unexpected <%.64s>, expected </%s>", t.name, name)
	}
	return nil
}

// namedValue reads <value>…</value>.
func (p *parser) namedValue() (Value, error) {
	t, err := p.next()
	if err != nil {
		return Value{}, err
	}
	if t.close || string(t.name) != "value" {
		return Value{}, p.bad("unexpected <%.64s>, expected <value>", t.name)
	}
	return p.value(t)
}

// value reads a value behind its tag.
func (p *parser) value(t tag) (Value, error) {
	if p.values++; p.values > p.limits.MaxValues {
		return Value{}, &malformed{FaultLimit, "XML-RPC message has too many values.  Max allowed is " + strconv.Itoa(p.limits.MaxValues)}
	}
	if t.empty {
		return String(""), nil
	}
	// A value without a type is a string, blanks and all.
	bare, err := p.text()
	if err != nil {
		return Value{}, err
	}
	textEnd := p.pos
	t, err = p.tag()
	if err != nil {
		return Value{}, err
	}
	if t.close {
		return String(string(bare)), p.checkEnd(t, "value")
	}
	if len(bytes.TrimLeft(bare, " \t\r\n")) > 0 {
		return Value{}, p.badAt(textEnd, "text beside the <%.64s> of a value", t.name)
	}
	v, err := p.typed(t)
	if err != nil {
		return Value{}, err
	}
	return v, p.end("value")
}

// typed reads a value by the tag of its type, up to the end tag.
func (p *parser) typed(t tag) (Value, error) {
	switch string(t.name) {
	case "array":
		return p.nested(t, p.array)
	case "struct":
		return p.nested(t, p.structure)
	}
	var content []byte
	if !t.empty {
		var err error
		if content, err = p.text(); err != nil {
			return Value{}, err
		}
	}
	v, err := p.simple(t.name, content)
	if err != nil || t.empty {
		return v, err
	}
	end, err := p.tag()
	if err != nil {
		return Value{}, err
	}
	return v, p.checkEnd(end, string(t.name))
}

// simple makes a value of the content of its type's element.
func (p *parser) simple(name, content []byte) (Value, error) {
	switch string(name) {
	case "string":
		return String(string(content)), nil
	case "int", "i4", "i1", "i2":
		n, err := strconv.ParseInt(string(bytes.TrimSpace(content)), 10, 32)
		if err != nil {
			return Value{}, p.badContent(name, "an integer of 32 bits", content)
		}
		return Int(int(n)), nil
	case "i8", "ex:i8", "ex.i8":
		n, err := strconv.ParseInt(string(bytes.TrimSpace(content)), 10, 64)
		if err != nil {
			return Value{}, p.badContent(name, "an integer of 64 bits", content)
		}
		return Int64(n), nil
	case "boolean":
		switch string(bytes.TrimSpace(content)) {
		case "0":
			return Bool(false), nil
		case "1":
			return Bool(true), nil
		}
		return Value{}, p.badContent(name, "0 or 1", content)
	case "double":
		content = bytes.TrimSpace(content)
		f, err := strconv.ParseFloat(string(content), 64)
		if err != nil || len(bytes.Trim(content, "+-.0123456789eE")) > 0 {
			return Value{}, p.badContent(name, "a number", content)
		}
		return Value{kind: KindDouble, bits: math.Float64bits(f)}, nil
	case "nil", "ex:nil", "ex.nil":
		if len(bytes.TrimSpace(content)) > 0 {
			return Value{}, p.badContent(name, "nothing", content)
		}
		return Value{}, nil
	case "base64":
		b, err := base64.StdEncoding.AppendDecode(nil, bytes.Join(bytes.Fields(content), nil))
		if err != nil {
			return Value{}, p.badContent(name, "base64", content)
		}
		return Value{kind: KindBase64, text: string(b)}, nil
	case "dateTime.iso8601":
		return Value{kind: KindDateTime, text: string(content)}, nil
	}
	return Value{}, &malformed{FaultParse, fmt.Sprintf("Unknown value type -- XML element is named <%.64s>", name)}
}

func (p *parser) badContent(name []byte, want string, content []byte) error {
	return p.bad("<%s> holds %.40q, expected %s", name, content, want)
}

// nested reads an array or a struct within the bound of depth.
func (p *parser) nested(t tag, read func() (*compound, Kind, error)) (Value, error) {
	if p.depth++; p.depth > p.limits.MaxDepth {
		return Value{}, &malformed{FaultLimit, "Nested data structure too deep."}
	}
	defer func() { p.depth-- }()
	if t.empty {
		kind := KindArray
		if string(t.name) == "struct" {
			kind = KindStruct
		}
		return Value{kind: kind, of: &compound{}}, nil
	}
	of, kind, err := read()
	if err != nil {
		return Value{}, err
	}
	return Value{kind: kind, of: of}, nil
}

func (p *parser) array() (*compound, Kind, error) {
	of := &compound{}
	t, err := p.next()
	if err != nil {
		return nil, KindArray, err
	}
	if t.close || string(t.name) != "data" {
		return nil, KindArray, p.bad("unexpected <%.64s>, expected <data>", t.name)
	}
	if !t.empty {
		for {
			if t, err = p.next(); err != nil {
				return nil, KindArray, err
			}
			if t.close {
				break
			}
			if string(t.name) != "value" {
				return nil, KindArray, p.bad("unexpected <%.64s>, expected <value>", t.name)
			}
			v, err := p.value(t)
			if err != nil {
				return nil, KindArray, err
			}
			of.values = append(of.values, v)
		}
		if err := p.checkEnd(t, "data"); err != nil {
			return nil, KindArray, err
		}
	}
	return of, KindArray, p.end("array")
}

func (p *parser) structure() (*compound, Kind, error) {
	of := &compound{}
	for {
		t, err := p.next()
		if err != nil {
			return nil, KindStruct, err
		}
		if t.close {
			return of, KindStruct, p.checkEnd(t, "struct")
		}
		if string(t.name) != "member" || t.empty {
			return nil, KindStruct, p.bad("unexpected <%.64s>, expected <member>", t.name)
		}
		name, err := p.memberName()
		if err != nil {
			return nil, KindStruct, err
		}
		v, err := p.namedValue()
		if err != nil {
			return nil, KindStruct, err
		}
		if err := p.end("member"); err != nil {
			return nil, KindStruct, err
		}
		of.names = append(of.names, name)
		of.values = append(of.values, v)
	}
}

func (p *parser) memberName() (string, error) {
	t, err := p.next()
	if err != nil {
		return "", err
	}
	if t.close || string(t.name) != "name" {
		return "", p.bad("unexpected <%.64s>, expected <name>", t.name)
	}
	if t.empty {
		return "", nil
	}
	text, err := p.text()
	if err != nil {
		return "", err
	}
	name := string(text)
	return name, p.end("name")
}
