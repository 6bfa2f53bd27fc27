package xmlrpc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func addGoldens(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

var fuzzLimits = Limits{MaxBytes: 1 << 16, MaxDepth: 8, MaxValues: 1000}

// What is read can be written, and reads back the same.
func FuzzParseCall(f *testing.F) {
	addGoldens(f)
	for _, s := range []string{
		callOf("<value>a&amp;<![CDATA[<]]>\r\n</value>", "<value><double>1.5</double></value>", "<value><base64>AA==</base64></value>"),
		callOf("<value><struct><member><name>x</name><value><nil/></value></member></struct></value>"),
		"\uFEFF<?xml version='1.0' encoding='utf-8'?><!-- c --><methodCall a='>'><methodName>m</methodName><params/></methodCall>",
		"<!DOCTYPE x><methodCall/>", "<methodCall", callOf("<value>&#xD800;</value>"), callOf("<value>\xff</value>"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCall(b, fuzzLimits)
		if err != nil {
			var fault *Fault
			if !errors.As(err, &fault) || fault.Code != FaultParse && fault.Code != FaultLimit && fault.Code != FaultUTF8 {
				t.Fatalf("bad error %#v", err)
			}
			return
		}
		again, err := ParseCall(AppendCall(nil, c.Method, c.Params...), Limits{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatalf("%+v does not read back: %v", c, err)
		}
		if again.Method != mended(c.Method) || len(again.Params) != len(c.Params) {
			t.Fatalf("%+v reads back as %+v", c, again)
		}
		for i := range c.Params {
			if !sameValue(again.Params[i], c.Params[i]) {
				t.Fatalf("parameter %d: %+v reads back as %+v", i, c.Params[i], again.Params[i])
			}
		}
		// Reading the parameters in whatever way does not panic.
		a := c.Args()
		for i := range a.Len() + 1 {
			a.Text(i)
			a.Int(i)
			a.Int64(i)
			a.BoolOr(i, true)
			a.Ints(i)
		}
	})
}

// sameValue tells whether a is what b reads back as: raw U+FFFE and U+FFFF are
// read but not written.
func sameValue(a, b Value) bool {
	if a.kind != b.kind || a.bits != b.bits || len(a.List()) != len(b.List()) {
		return false
	}
	if a.kind == KindBase64 {
		return a.text == b.text
	}
	if a.text != mended(b.text) {
		return false
	}
	for i := range a.List() {
		if !sameValue(a.List()[i], b.List()[i]) {
			return false
		}
		if a.kind == KindStruct && a.Names()[i] != mended(b.Names()[i]) {
			return false
		}
	}
	return true
}

func FuzzParseAnswer(f *testing.F) {
	addGoldens(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseAnswer(b, fuzzLimits)
		var failure, failureBack *Failure
		var fault, faultBack *Fault
		switch {
		case err == nil:
			back, err := ParseAnswer(AppendSuccess(nil, v), Limits{})
			if err != nil || !sameValue(back, v) {
				t.Fatalf("%+v reads back as %+v, error %v", v, back, err)
			}
		case errors.As(err, &failure):
			failure.Message = mended(failure.Message)
			_, err := ParseAnswer(AppendFailure(nil, failure), Limits{})
			if !errors.As(err, &failureBack) || *failureBack != *failure {
				t.Fatalf("%#v reads back as %#v", failure, err)
			}
		case errors.As(err, &fault):
			fault.Message = mended(fault.Message)
			_, err := ParseAnswer(AppendFault(nil, fault), Limits{})
			if !errors.As(err, &faultBack) || *faultBack != *fault {
				t.Fatalf("%#v reads back as %#v", fault, err)
			}
		}
	})
}
