package cli

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// userInput is a question a template asks whoever instantiates it.
// Source: resources reference §1.6.
type userInput struct {
	name                         string
	mandatory                    bool
	kind, text, options, initial string
}

// parseInput reads "M|type|description|options|default"; three or five parts.
func parseInput(name, s string) (userInput, error) {
	parts := strings.Split(s, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	in := userInput{name: name}
	switch len(parts) {
	case 5:
		in.options, in.initial = parts[3], parts[4]
	case 3:
	default:
		return in, fmt.Errorf("Malformed user input. It should have 3 or 5 parts separated by '|':\n  %s: %s", name, s)
	}
	in.mandatory, in.kind, in.text = parts[0] != "O", parts[1], parts[2]
	return in, nil
}

// userInputs asks for the inputs of a template that --user-inputs does not name,
// and returns the answers as template text. Without a terminal to ask, defaults
// are taken.
func (c *call) userInputs(inputs *doc.Node) (string, error) {
	if inputs == nil {
		return "", nil
	}
	var given []string
	for _, pair := range c.list("user-inputs") {
		name, _, _ := strings.Cut(pair, "=")
		given = append(given, strings.TrimSpace(name))
	}
	var lines []string
	told := false
	for _, k := range inputs.Kids {
		if slices.Contains(given, k.Name) {
			continue
		}
		in, err := parseInput(k.Name, k.Text)
		if err != nil {
			return "", err
		}
		if !told && c.canAsk() {
			fmt.Fprintln(c.io.Err, "There are some parameters that require user input.")
			told = true
		}
		answer, err := c.askInput(in)
		if err != nil {
			return "", err
		}
		if answer != "" {
			lines = append(lines, k.Name+"="+quoted(answer))
		}
	}
	return strings.Join(lines, "\n"), nil
}

// canAsk tells whether there is somebody to answer.
func (c *call) canAsk() bool {
	f, ok := c.io.In.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// askInput returns the answer to one input, or its default without somebody to
// answer.
func (c *call) askInput(in userInput) (string, error) {
	if in.kind == "fixed" {
		return in.initial, nil
	}
	if !c.canAsk() {
		if in.initial == "" && in.mandatory {
			return "", fmt.Errorf("user input %s has no value: give it with --user-inputs %s=<value>", in.name, in.name)
		}
		return in.encode(in.initial), nil
	}
	return c.prompt(in)
}

// prompt asks until the answer fits.
func (c *call) prompt(in userInput) (string, error) {
	fmt.Fprintf(c.io.Err, "  * (%s) %s\n", in.name, in.text)
	question := "    "
	if in.initial != "" {
		question += "Press enter for default (" + in.initial + "). "
	}
	question += in.expects()
	for {
		ask := c.ask
		if in.kind == "password" {
			ask = c.askPassword
		}
		answer, err := ask(question)
		if err != nil {
			return "", err
		}
		if answer == "" {
			answer = in.initial
		}
		if answer == "" && !in.mandatory {
			return "", nil
		}
		if why := in.check(answer); why != "" {
			fmt.Fprintln(c.io.Err, "    "+why)
			continue
		}
		return in.encode(answer), nil
	}
}

func (in userInput) encode(s string) string {
	if in.kind == "text64" && s != "" {
		return base64.StdEncoding.EncodeToString([]byte(s))
	}
	return s
}

// expects says what an answer looks like.
func (in userInput) expects() string {
	switch in.kind {
	case "number":
		return "Integer: "
	case "number-float":
		return "Float: "
	case "range":
		return "Integer in the range [" + in.options + "]: "
	case "range-float":
		return "Float in the range [" + in.options + "]: "
	case "boolean":
		return "YES or NO: "
	case "list":
		return "One of " + in.options + ": "
	case "list-multiple":
		return "Some of " + in.options + ", separated by commas: "
	}
	return ""
}

// check says what is wrong with an answer, "" when nothing is.
func (in userInput) check(s string) string {
	v, err := strconv.ParseFloat(s, 64)
	whole := err == nil && strings.Trim(s, "-0123456789") == ""
	switch in.kind {
	case "number":
		if !whole {
			return "expected a whole number"
		}
	case "number-float":
		if err != nil {
			return "expected a number"
		}
	case "range", "range-float":
		least, most, _ := strings.Cut(in.options, "..")
		low, errLow := strconv.ParseFloat(least, 64)
		high, errHigh := strconv.ParseFloat(most, 64)
		if err != nil || in.kind == "range" && !whole || errLow == nil && v < low || errHigh == nil && v > high {
			return "expected a number in the range " + in.options
		}
	case "boolean":
		if s != "YES" && s != "NO" {
			return "Boolean has to be YES or NO"
		}
	case "list", "list-multiple":
		answers := []string{s}
		if in.kind == "list-multiple" {
			answers = strings.Split(s, ",")
		}
		for _, a := range answers {
			if !slices.Contains(strings.Split(in.options, ","), a) {
				return "expected one of " + in.options
			}
		}
	default:
		if s == "" {
			return "a value is needed"
		}
	}
	return ""
}
