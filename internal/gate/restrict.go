package gate

import (
	"errors"
	"net/http"
	"strings"

	"github.com/trifid-cloud/trifid/internal/cloud"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// restrictions reads the list of attributes that guests may not change: NAME, or
// VECTOR/SUB. The original compares text and can be bypassed by blanks, by XML
// and by paths; here what was parsed is looked at.
func restrictions(list []string) (*tmpl.Restricted, map[string]bool, error) {
	r, err := tmpl.NewRestricted(list)
	if err != nil {
		return nil, nil, err
	}
	noErase := map[string]bool{}
	for _, item := range list {
		path := strings.ToUpper(strings.TrimSpace(item))
		name, _, _ := strings.Cut(path, "/")
		noErase[path], noErase[name] = true, true // a vector takes its parts with it
	}
	return r, noErase, nil
}

// checkChange refuses a change that touches a restricted attribute.
func (g *Gate) checkChange(change *tmpl.Template) error {
	if name, bad := g.restricted.CheckCreate(change); bad {
		return refuse(http.StatusForbidden, "Attribute (%s) cannot be modified", name)
	}
	return nil
}

// checkErase refuses to erase a restricted attribute or a part of one.
func (g *Gate) checkErase(path string) error {
	name, _, _ := strings.Cut(path, "/")
	if _, whole := g.restricted.CheckCreate(tmpl.New(tmpl.Single(name, ""))); whole || g.noErase[path] {
		return refuse(http.StatusForbidden, "Attribute (%s) cannot be deleted", path)
	}
	return nil
}

// eraseError is the refusal for an error of erasing an attribute.
func eraseError(err error) *Refusal {
	if errors.Is(err, cloud.ErrNoAttribute) {
		return &Refusal{Status: http.StatusInternalServerError, Text: cloud.ErrNoAttribute.Msg}
	}
	return coreError(http.StatusInternalServerError, "one.vm.update", err)
}
