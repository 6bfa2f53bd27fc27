package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
)

// Service returns the document of the guest's service; extended shows of every
// node its whole document instead of who owns it. Source: OneGate reference §1.8.
func (u *Guest) Service(extended bool) (*Document, error) {
	if err := u.may("one.vm.info", u.vm); err != nil {
		return nil, err
	}
	s, err := u.service()
	if err != nil {
		return nil, err
	}
	header, _ := u.st.Documents.Get(s.ID)
	dst, err := u.appendService(make([]byte, 0, 1<<10), s, header, extended)
	if err != nil {
		return nil, fmt.Errorf("show service %d: %w", s.ID, err)
	}
	return newDocument(dst), nil
}

// WatchService begins to watch the document of the guest's service.
func (u *Guest) WatchService(extended bool) (*Watch, error) {
	kind := subjectService
	if extended {
		kind = subjectServiceExtended
	}
	id, ok := digits(u.vm.UserTemplate.Get("SERVICE_ID"))
	if !ok {
		id = -1 // what is wrong with it is told when the document is asked for
	}
	return u.gate.hub.watch(u.vm.ID, subject{kind, id})
}

func (u *Guest) appendService(dst []byte, s *one.Service, header *one.Document, extended bool) ([]byte, error) {
	nodes := make(map[string][]*one.VM, len(s.Roles))
	for id := range u.st.ServiceVMs.Of(s.ID) {
		if v, ok := u.st.VM(id); ok {
			nodes[v.Role] = append(nodes[v.Role], v)
		}
	}
	dst = str(append(dst, `{"SERVICE":{"name":`...), header.Name)
	dst = num(append(dst, `,"id":`...), s.ID)
	dst = fmt.Appendf(dst, `,"state":%d,"roles":[`, s.State)
	docs := &onexml.Docs{State: u.st, Monitor: u.gate.monitor}
	for i := range s.Roles {
		r := &s.Roles[i]
		dst = str(append(comma(dst), `{"name":`...), r.Name)
		dst = fmt.Appendf(dst, `,"cardinality":%d,"state":%d,"nodes":[`, r.Cardinality, r.State)
		for _, v := range nodes[r.Name] {
			dst = fmt.Appendf(comma(dst), `{"deploy_id":%d,"running":null,"vm_info":`, v.ID)
			var err error
			if dst, err = u.appendNode(dst, docs, v, extended); err != nil {
				return nil, err
			}
			dst = append(dst, '}')
		}
		dst = append(dst, `]}`...)
	}
	return append(dst, `]}}`...), nil
}

// appendNode appends what is shown of a node: who owns it, or all of it if the
// guest's owner may see it.
func (u *Guest) appendNode(dst []byte, docs *onexml.Docs, v *one.VM, extended bool) ([]byte, error) {
	if extended && u.may("one.vm.info", v) == nil {
		return onexml.AppendJSON(dst, docs.AppendVM(nil, v))
	}
	dst = num(append(dst, `{"VM":{"ID":`...), v.ID)
	dst = num(append(dst, `,"UID":`...), v.UID)
	dst = num(append(dst, `,"GID":`...), v.GID)
	dst = member(dst, "UNAME", v.UName)
	dst = member(dst, "GNAME", v.GName)
	return append(member(dst, "NAME", v.Name), `}}`...), nil
}

// Scale asks for another cardinality of a role of the guest's service, without
// force. Why it was refused is only logged, as in the original.
// Source: OneGate reference §1.13.
func (u *Guest) Scale(ctx context.Context, role string, cardinality int) error {
	if err := u.may("one.vm.info", u.vm); err != nil {
		return err
	}
	s, err := u.service()
	if err != nil {
		return err
	}
	err = errNoFlow
	if u.gate.flow != nil {
		err = u.gate.flow.Scale(ctx, u.owner, s.ID, role, cardinality)
	}
	if err != nil {
		return &Refusal{Status: http.StatusBadRequest, Text: fmt.Sprintf("Error performing action on service %d role %s", s.ID, clip(role)), Cause: err}
	}
	u.audit(ctx, "scale", u.vm, slog.Int("service", s.ID), slog.String("role", role), slog.Int("cardinality", cardinality))
	return nil
}

var errNoFlow = errors.New("services are not run here")
