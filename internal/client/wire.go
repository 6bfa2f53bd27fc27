package client

import (
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/xmlrpc"
)

// encodeCall writes a call with parameters that are strings, ints, booleans or
// []int.
func encodeCall(method string, params []any) ([]byte, error) {
	values := make([]xmlrpc.Value, len(params))
	for i, p := range params {
		switch p := p.(type) {
		case string:
			values[i] = xmlrpc.String(p)
		case int:
			values[i] = xmlrpc.Int(p)
		case bool:
			values[i] = xmlrpc.Bool(p)
		case []int:
			values[i] = xmlrpc.Ints(p)
		default:
			return nil, fmt.Errorf("parameter %d of type %T", i, p)
		}
	}
	return xmlrpc.AppendCall(nil, method, values...), nil
}

// decodeAnswer reads an answer. Refusals and faults are an *Error with the
// server's text. Source: XML-RPC reference §1.1 and §2.
func decodeAnswer(body []byte) (Result, error) {
	v, err := xmlrpc.ParseAnswer(body, xmlrpc.Limits{MaxBytes: maxAnswer})
	var failure *xmlrpc.Failure
	var fault *xmlrpc.Fault
	switch {
	case errors.As(err, &failure):
		return Result{}, &Error{Code: failure.Code, Msg: failure.Message}
	case errors.As(err, &fault):
		return Result{}, &Error{Code: fault.Code, Msg: fault.Message}
	case err != nil:
		return Result{}, fmt.Errorf("the server did not answer as OpenNebula does: %w", err)
	}
	return Result{Int: int(v.Int64()), Text: v.Text()}, nil
}
