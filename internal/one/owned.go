package one

import "github.com/trifid-cloud/trifid/internal/tmpl"

// Owned is a resource that has an owner and permissions: what rename, chown,
// chmod, lock and unlock work on, whatever the kind.
type Owned interface {
	Kind() Kind
	Head() Meta
	// WithHead returns a copy with another header.
	WithHead(m Meta) Owned
	// Body is the template that update changes (of a VM, the user template).
	Body() *tmpl.Template
	// WithBody returns a copy with another body.
	WithBody(t *tmpl.Template) Owned
}

// Head returns the header.
func (m Meta) Head() Meta { return m }

// Kind implements Owned.
func (v *VM) Kind() Kind            { return KindVM }
func (i *Image) Kind() Kind         { return KindImage }
func (n *VNet) Kind() Kind          { return KindNet }
func (t *VMTemplate) Kind() Kind    { return KindTemplate }
func (d *Datastore) Kind() Kind     { return KindDatastore }
func (d *Document) Kind() Kind      { return KindDocument }
func (g *SecurityGroup) Kind() Kind { return KindSecGroup }
func (r *VRouter) Kind() Kind       { return KindVRouter }
func (t *VNTemplate) Kind() Kind    { return KindVNTemplate }

// WithHead implements Owned.
func (v *VM) WithHead(m Meta) Owned            { c := *v; c.Meta = m; return &c }
func (i *Image) WithHead(m Meta) Owned         { c := *i; c.Meta = m; return &c }
func (n *VNet) WithHead(m Meta) Owned          { c := *n; c.Meta = m; return &c }
func (t *VMTemplate) WithHead(m Meta) Owned    { c := *t; c.Meta = m; return &c }
func (d *Datastore) WithHead(m Meta) Owned     { c := *d; c.Meta = m; return &c }
func (d *Document) WithHead(m Meta) Owned      { c := *d; c.Meta = m; return &c }
func (g *SecurityGroup) WithHead(m Meta) Owned { c := *g; c.Meta = m; return &c }
func (r *VRouter) WithHead(m Meta) Owned       { c := *r; c.Meta = m; return &c }
func (t *VNTemplate) WithHead(m Meta) Owned    { c := *t; c.Meta = m; return &c }

// Body implements Owned.
func (v *VM) Body() *tmpl.Template            { return v.UserTemplate }
func (i *Image) Body() *tmpl.Template         { return i.Template }
func (n *VNet) Body() *tmpl.Template          { return n.Template }
func (t *VMTemplate) Body() *tmpl.Template    { return t.Template }
func (d *Datastore) Body() *tmpl.Template     { return d.Template }
func (d *Document) Body() *tmpl.Template      { return d.Template }
func (g *SecurityGroup) Body() *tmpl.Template { return g.Template }
func (r *VRouter) Body() *tmpl.Template       { return r.Template }
func (t *VNTemplate) Body() *tmpl.Template    { return t.Template }

// WithBody implements Owned.
func (v *VM) WithBody(t *tmpl.Template) Owned            { return v.WithUserTemplate(t) }
func (i *Image) WithBody(t *tmpl.Template) Owned         { c := *i; c.Template = t; return &c }
func (n *VNet) WithBody(t *tmpl.Template) Owned          { c := *n; c.Template = t; return &c }
func (t *VMTemplate) WithBody(b *tmpl.Template) Owned    { c := *t; c.Template = b; return &c }
func (d *Datastore) WithBody(t *tmpl.Template) Owned     { c := *d; c.Template = t; return &c }
func (d *Document) WithBody(t *tmpl.Template) Owned      { c := *d; c.Template = t; return &c }
func (g *SecurityGroup) WithBody(t *tmpl.Template) Owned { c := *g; c.Template = t; return &c }
func (r *VRouter) WithBody(t *tmpl.Template) Owned       { c := *r; c.Template = t; return &c }
func (t *VNTemplate) WithBody(b *tmpl.Template) Owned    { c := *t; c.Template = b; return &c }
