package onexml

import (
	"slices"

	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AppendTemplate appends the document of a VM template. Source: XML-RPC reference §8.6.
func (d *Docs) AppendTemplate(dst []byte, t *one.VMTemplate) []byte {
	return registered(dst, "VMTEMPLATE", &t.Meta, t.RegTime, t.Template)
}

// AppendVNTemplate appends the document of a template of networks. Source:
// XML-RPC reference §8.6.
func (d *Docs) AppendVNTemplate(dst []byte, t *one.VNTemplate) []byte {
	return registered(dst, "VNTEMPLATE", &t.Meta, t.RegTime, t.Template)
}

// registered appends what is a template and when it was registered.
func registered(dst []byte, root string, m *one.Meta, regTime int64, t *tmpl.Template) []byte {
	dst = open(dst, root)
	dst = head(dst, m)
	dst = lock(dst, m.Lock)
	dst = permissions(dst, m.Perms)
	dst = num(dst, "REGTIME", regTime)
	dst = body(dst, "TEMPLATE", t)
	return shut(dst, root)
}

// AppendDatastore appends the document of a datastore. Source: XML-RPC reference §8.9.
func (d *Docs) AppendDatastore(dst []byte, s *one.Datastore) []byte {
	var total, used, free int64
	if d.Monitor != nil {
		total, used, free, _ = d.Monitor.Datastore(s.ID)
	}
	dst = open(dst, "DATASTORE")
	dst = head(dst, &s.Meta)
	dst = permissions(dst, s.Perms)
	dst = cdata(dst, "DS_MAD", s.DSMad)
	dst = cdata(dst, "TM_MAD", s.TMMad)
	dst = cdata(dst, "BASE_PATH", s.BasePath)
	dst = num(dst, "TYPE", s.Type)
	dst = num(dst, "DISK_TYPE", s.DiskType)
	dst = flag(dst, "STATE", s.Disabled)
	dst = ids(dst, "CLUSTERS", slices.Values(s.ClusterIDs))
	dst = num(dst, "TOTAL_MB", total)
	dst = num(dst, "FREE_MB", free)
	dst = num(dst, "USED_MB", used)
	dst = ids(dst, "IMAGES", d.State.DatastoreImages.Of(s.ID))
	dst = body(dst, "TEMPLATE", s.Template)
	return shut(dst, "DATASTORE")
}

// AppendDocument appends a document. That of a service has its body from the
// services themselves. Source: XML-RPC reference §8.10.
func (d *Docs) AppendDocument(dst []byte, o *one.Document) []byte {
	content := o.Template
	if o.Type == one.DocService && d.Body != nil {
		if json, ok := d.Body(o.ID); ok {
			content = content.With("BODY", string(json))
		}
	}
	dst = open(dst, "DOCUMENT")
	dst = head(dst, &o.Meta)
	dst = num(dst, "TYPE", o.Type)
	dst = permissions(dst, o.Perms)
	dst = lock(dst, o.Lock)
	dst = body(dst, "TEMPLATE", content)
	return shut(dst, "DOCUMENT")
}

// AppendSecGroup appends the document of a security group. All VMs that have it
// are listed as updated: which still apply older rules is not known here.
// Source: XML-RPC reference §8.10.
func (d *Docs) AppendSecGroup(dst []byte, g *one.SecurityGroup) []byte {
	dst = open(dst, "SECURITY_GROUP")
	dst = head(dst, &g.Meta)
	dst = permissions(dst, g.Perms)
	dst = ids(dst, "UPDATED_VMS", d.State.SecGroupVMs.Of(g.ID))
	dst = append(dst, "<OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>"...)
	dst = body(dst, "TEMPLATE", g.Template)
	return shut(dst, "SECURITY_GROUP")
}

// AppendVRouter appends the document of a virtual router. Source: XML-RPC reference §8.10.
func (d *Docs) AppendVRouter(dst []byte, r *one.VRouter) []byte {
	dst = open(dst, "VROUTER")
	dst = head(dst, &r.Meta)
	dst = permissions(dst, r.Perms)
	dst = lock(dst, r.Lock)
	dst = ids(dst, "VMS", d.State.VRouterVMs.Of(r.ID))
	dst = body(dst, "TEMPLATE", r.Template)
	return shut(dst, "VROUTER")
}
