package flowapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/server/httpd"
)

// id returns the number in the path. What is no number is nothing there is.
func (q *request) id() (int, error) {
	s := q.PathValue("id")
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, errs.New(errs.NoExists, "[one.document.info] Error getting document [%s].", s)
	}
	return n, nil
}

// body returns the body, whatever its type is said to be.
func (q *request) body() ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(httpd.Body(q.w, q.Request), jsontree.MaxBytes+1))
	if err != nil {
		return nil, invalid("The body cannot be read: " + err.Error())
	}
	if len(text) > jsontree.MaxBytes {
		q.w.Header().Set("Connection", "close") // the rest is not read
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes", jsontree.MaxBytes)}
	}
	return text, nil
}

// template returns the body of a request that carries a template.
func (q *request) template() (jsontree.Value, error) {
	text, err := q.body()
	if err != nil {
		return jsontree.Value{}, err
	}
	return q.parse(text)
}

// parse reads a template the client sent, in which places will be shown.
func (q *request) parse(text []byte) (jsontree.Value, error) {
	q.sent = text
	v, err := jsontree.ParsePlaced(text)
	if err != nil {
		return v, invalid(err.Error() + placeOf(err, text))
	}
	return v, nil
}

// placeOf is the second line of the refusal of a text that is no JSON.
func placeOf(err error, text []byte) string {
	var syntax *jsontree.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	line, column := jsontree.Position(text, syntax.Offset)
	return fmt.Sprintf("\nat line %d column %d: expected JSON", line, column)
}

// within returns the JSON that a string of the body holds, or what stands there
// instead of the string.
func (q *request) within(v jsontree.Value, missing string) (jsontree.Value, error) {
	switch v.Kind {
	case jsontree.Null:
		return v, invalid(missing)
	case jsontree.String:
		return q.parse([]byte(v.Text))
	}
	return v, nil
}

// object returns the body of a request that carries anything else, an object.
func (q *request) object() (jsontree.Value, error) {
	text, err := q.body()
	if err != nil {
		return jsontree.Value{}, err
	}
	q.sent = text
	v, err := jsontree.ParsePlaced(text)
	switch {
	case err != nil:
		return v, broken(err.Error())
	case v.Kind != jsontree.Object:
		return v, broken("the body must be a JSON object")
	}
	return v, nil
}

// action is what an action's envelope holds: {"action":{"perform":…,"params":{…}}}.
type action struct {
	name   string
	params jsontree.Value // an object, or null
}

func (q *request) action() (action, error) {
	v, err := q.object()
	if err != nil {
		return action{}, err
	}
	inner := v.Get("action")
	if inner.Kind != jsontree.Object {
		return action{}, broken(`the body must be {"action":{"perform":"<name>","params":{…}}}`)
	}
	a := action{name: inner.Get("perform").Text, params: inner.Get("params")}
	if a.params.Kind != jsontree.Null && a.params.Kind != jsontree.Object {
		return a, broken("action.params must be an object")
	}
	return a, nil
}

// whole returns a number that may be written as a string, as scripts do.
func whole(v jsontree.Value) (int, bool) {
	if v.Kind == jsontree.String {
		n, err := strconv.Atoi(v.Text)
		return n, err == nil
	}
	return v.Number()
}

// optional returns a number that may be missing.
func (a action) optional(name string, missing int) (int, error) {
	v := a.params.Get(name)
	if v.Kind == jsontree.Null {
		return missing, nil
	}
	n, ok := whole(v)
	if !ok {
		return 0, errs.New(errs.Action, "Action %s: %s must be a whole number", a.name, name)
	}
	return n, nil
}

// owner returns a new owner and group, -1 for one that is kept.
func (a action) owner() (uid, gid int, err error) {
	need, what := "owner_id", "UID"
	if a.name == "chgrp" {
		need, what = "group_id", "GID"
	}
	if a.params.Get(need).Kind == jsontree.Null {
		return 0, 0, errs.New(errs.Action, "Action %s: You have to specify a %s", a.name, what)
	}
	if uid, err = a.optional("owner_id", -1); err != nil {
		return 0, 0, err
	}
	if a.name == "chgrp" {
		uid = -1
	}
	gid, err = a.optional("group_id", -1)
	return uid, gid, err
}

// perms returns permissions given as up to three octal digits.
func (a action) perms() (one.Perms, error) {
	v := a.params.Get("octet")
	if v.Kind == jsontree.Null {
		return 0, errs.New(errs.Action, "Action chmod: You have to specify an OCTET")
	}
	n, err := strconv.ParseUint(v.Text, 8, 16)
	if err != nil || n > 0o777 {
		return 0, errs.New(errs.Action, "Action chmod: OCTET must be three digits of 0 to 7, as in 640")
	}
	return one.Perms(n), nil
}

// newName returns what something is to be called.
func (a action) newName() (string, error) {
	if v := a.params.Get("name"); v.Kind == jsontree.String && v.Text != "" {
		return v.Text, nil
	}
	return "", errs.New(errs.Action, "Action %s: You have to specify a name", a.name)
}

// unsupported refuses an action nobody knows.
func (a action) unsupported() error { return errs.New(errs.Action, "Action %s not supported", a.name) }
