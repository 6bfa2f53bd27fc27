package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// encodeCall writes an XML-RPC call with parameters that are strings, ints,
// booleans or []int.
func encodeCall(method string, params []any) ([]byte, error) {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><methodCall><methodName>` + method + `</methodName><params>`)
	for _, p := range params {
		b.WriteString("<param>")
		if err := encodeValue(&b, p); err != nil {
			return nil, err
		}
		b.WriteString("</param>")
	}
	b.WriteString("</params></methodCall>")
	return []byte(b.String()), nil
}

var textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")

func encodeValue(b *strings.Builder, v any) error {
	b.WriteString("<value>")
	switch v := v.(type) {
	case string:
		b.WriteString("<string>" + textEscaper.Replace(v) + "</string>")
	case int:
		b.WriteString("<int>" + strconv.Itoa(v) + "</int>")
	case bool:
		flag := "0"
		if v {
			flag = "1"
		}
		b.WriteString("<boolean>" + flag + "</boolean>")
	case []int:
		b.WriteString("<array><data>")
		for _, n := range v {
			if err := encodeValue(b, n); err != nil {
				return err
			}
		}
		b.WriteString("</data></array>")
	default:
		return fmt.Errorf("parameter of type %T", v)
	}
	b.WriteString("</value>")
	return nil
}

// decodeAnswer reads an answer. Source: XML-RPC reference §1.1 and §2.
func decodeAnswer(body []byte) (Result, error) {
	root, err := doc.Parse(string(body))
	if err != nil || root.Name != "methodResponse" {
		return Result{}, errors.New("the server did not answer with XML-RPC")
	}
	if f := root.At("fault/value/struct"); f != nil {
		return Result{}, faultError(f)
	}
	values := root.All("params/param/value/array/data/value")
	if len(values) < 3 {
		return Result{}, errors.New("the server's answer is not OpenNebula's: expected an array of three or more")
	}
	if values[0].Get("boolean") != "1" {
		return Result{}, &Error{Code: int(number(values[2])), Msg: text(values[1])}
	}
	return Result{Int: int(number(values[1])), Text: text(values[1])}, nil
}

func faultError(f *doc.Node) error {
	e := &Error{Msg: "XML-RPC fault"}
	for _, m := range f.All("member") {
		switch v := m.At("value"); m.Get("name") {
		case "faultCode":
			e.Code = int(number(v))
		case "faultString":
			e.Msg = text(v)
		}
	}
	return e
}

// text returns a value as text: a string with or without its tag, a number.
func text(v *doc.Node) string {
	if len(v.Kids) == 1 {
		return v.Kids[0].Text
	}
	return v.Text
}

func number(v *doc.Node) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text(v)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
