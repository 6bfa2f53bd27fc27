package xmlrpc

import (
	"errors"
	"fmt"
)

// The answers look byte for byte like those of the reference's server library,
// line ends included.
const (
	answerOpen  = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodResponse>\r\n"
	answerClose = "</methodResponse>\r\n"
	arrayOpen   = answerOpen + "<params>\r\n<param><value><array><data>\r\n"
	arrayClose  = "</data></array></value></param>\r\n</params>\r\n" + answerClose
	lineEnd     = "\r\n"
)

// AppendSuccess appends the answer of a method that returned the value.
// Source: XML-RPC reference §2.
func AppendSuccess(dst []byte, v Value) []byte {
	dst = append(dst, arrayOpen...)
	dst = appendLine(dst, Bool(true))
	dst = appendLine(dst, v)
	dst = appendLine(dst, Int(0))
	return append(dst, arrayClose...)
}

// AppendTextBegin appends what AppendSuccess has before a string, for one that is
// held as bytes and comes in pieces, a document: each piece is to be appended with
// AppendEscaped, must not end within a character, and is not retained.
func AppendTextBegin(dst []byte) []byte {
	dst = append(dst, arrayOpen...)
	dst = appendLine(dst, Bool(true))
	return append(dst, "<value><string>"...)
}

// AppendTextEnd appends what is behind the text.
func AppendTextEnd(dst []byte) []byte {
	dst = append(dst, "</string></value>"+lineEnd...)
	dst = appendLine(dst, Int(0))
	return append(dst, arrayClose...)
}

// AppendFailure appends the answer of a method that refused.
// Source: XML-RPC reference §2.
func AppendFailure(dst []byte, f *Failure) []byte {
	dst = append(dst, arrayOpen...)
	dst = appendLine(dst, Bool(false))
	dst = appendLine(dst, String(f.Message))
	dst = appendLine(dst, Int(f.Code))
	dst = appendLine(dst, Int(f.ObjectID))
	dst = appendLine(dst, Int64(f.ReplicationIndex))
	return append(dst, arrayClose...)
}

// AppendFault appends the answer to a call that reached no method.
// Source: XML-RPC reference §1.1.
func AppendFault(dst []byte, f *Fault) []byte {
	dst = append(dst, answerOpen+"<fault>\r\n"...)
	dst = appendLine(dst, Value{kind: KindStruct, of: &compound{
		names:  []string{"faultCode", "faultString"},
		values: []Value{Int(f.Code), String(f.Message)},
	}})
	return append(dst, "</fault>\r\n"+answerClose...)
}

func appendLine(dst []byte, v Value) []byte {
	dst = appendValue(dst, v)
	return append(dst, lineEnd...)
}

// AppendCall appends a call.
func AppendCall(dst []byte, method string, params ...Value) []byte {
	dst = append(dst, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<methodCall>\r\n"...)
	dst = AppendElem(dst, "methodName", method)
	dst = append(dst, "\r\n<params>\r\n"...)
	for _, v := range params {
		dst = append(dst, "<param>"...)
		dst = appendValue(dst, v)
		dst = append(dst, "</param>\r\n"...)
	}
	return append(dst, "</params>\r\n</methodCall>\r\n"...)
}

// ParseAnswer reads the answer to a call and returns the value of a success. A
// refusal of the method is a *Failure, a fault of the server a *Fault; any other
// error means that the answer is not one of this interface. It retains nothing
// of b. Answers of failures may lack the elements no client needs, their third
// and following: then ObjectID and ReplicationIndex are -1.
func ParseAnswer(b []byte, limits Limits) (Value, error) {
	var result Value
	var fault *Fault
	err := parseMessage(b, limits, "methodResponse", "Response", func(p *parser, root tag) (err error) {
		result, fault, err = p.answer(root)
		return err
	})
	if err != nil {
		return Value{}, fmt.Errorf("read XML-RPC answer: %w", err)
	}
	if fault != nil {
		return Value{}, fault
	}
	return unpack(result)
}

// answer reads what stands between <methodResponse> and its end.
func (p *parser) answer(root tag) (v Value, fault *Fault, err error) {
	if root.empty {
		return v, nil, p.bad("<methodResponse> is empty")
	}
	t, err := p.next()
	if err != nil {
		return v, nil, err
	}
	switch {
	case t.close || t.empty:
		return v, nil, p.bad("unexpected <%.64s>, expected <params> or <fault>", t.name)
	case string(t.name) == "params":
		if err := p.open("param"); err != nil {
			return v, nil, err
		}
		if v, err = p.namedValue(); err != nil {
			return v, nil, err
		}
		if err := p.end("param"); err != nil {
			return v, nil, err
		}
	case string(t.name) == "fault":
		if v, err = p.namedValue(); err != nil {
			return v, nil, err
		}
		code, okCode := v.Member("faultCode")
		text, okText := v.Member("faultString")
		if !okCode || !okText || code.kind != KindInt || text.kind != KindString {
			return v, nil, p.bad("<fault> does not hold a faultCode and a faultString")
		}
		fault = &Fault{Code: int(code.Int64()), Message: text.text}
	default:
		return v, nil, p.bad("unexpected <%.64s>, expected <params> or <fault>", t.name)
	}
	if err := p.end(string(t.name)); err != nil {
		return v, nil, err
	}
	return v, fault, p.end("methodResponse")
}

var errNotAnswer = errors.New("read XML-RPC answer: expected an array of a boolean, a value and an int code")

// unpack reads the response array.
func unpack(v Value) (Value, error) {
	list := v.List()
	if v.kind != KindArray || len(list) < 3 || list[0].kind != KindBool || list[2].kind != KindInt {
		return Value{}, errNotAnswer
	}
	if list[0].Bool() {
		return list[1], nil
	}
	if list[1].kind != KindString {
		return Value{}, errNotAnswer
	}
	f := &Failure{Message: list[1].text, Code: int(list[2].Int64()), ObjectID: -1, ReplicationIndex: -1}
	if len(list) > 3 {
		f.ObjectID = int(list[3].Int64())
	}
	if len(list) > 4 {
		f.ReplicationIndex = list[4].Int64()
	}
	return Value{}, f
}
