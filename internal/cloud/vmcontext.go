package cloud

import (
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/contextvars"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// makeContext returns the CONTEXT of a new VM: references expanded, files
// resolved, the cloud's own variables added, secrets encrypted.
// Source: OneGate reference §5.
func (c *Cloud) makeContext(tx *store.Tx, who auth.Caller, v *one.VM, user *tmpl.Template, out *tmpl.Template, asked tmpl.Vector) (tmpl.Vector, error) {
	cv := c.contextVM(&tx.State, v, out, user)
	vars, err := c.expandContext(tx, who, cv, asked)
	if err != nil {
		return nil, err
	}
	return c.completeContext(cv, vars, c.cfg.OneGateEndpoint)
}

// expandContext does what is done once with what a user wrote.
func (c *Cloud) expandContext(tx *store.Tx, who auth.Caller, cv *contextvars.VM, asked tmpl.Vector) (tmpl.Vector, error) {
	files := asked.Get("FILES_DS")
	vars, err := contextvars.Substitute(asked.Without("FILES_DS"), cv)
	if err != nil || files == "" {
		return vars, err
	}
	refs, err := contextvars.ParseFiles(files)
	if err != nil {
		return nil, err
	}
	images := make([]contextvars.FileImage, 0, len(refs))
	for _, r := range refs {
		i, err := c.imageOfRef(&tx.State, who, r)
		if err != nil {
			return nil, contextvars.FileError(files, err.Error())
		}
		images = append(images, contextvars.FileImage{
			ID: i.ID, Name: i.Name, Source: i.Source, Context: i.Type == one.ImageContext, Ready: i.State == one.ImageReady,
		})
	}
	stored, err := contextvars.StoreFiles(images)
	if err != nil {
		return nil, err
	}
	return vars.With("FILES_DS", stored), nil
}

// completeContext adds the cloud's own variables and encrypts the secrets.
func (c *Cloud) completeContext(cv *contextvars.VM, vars tmpl.Vector, endpoint string) (tmpl.Vector, error) {
	vars, err := contextvars.Generate(vars, cv, endpoint)
	if err != nil {
		return nil, err
	}
	t, err := c.encrypt(one.KindVM, (*tmpl.Template)(nil).WithVector("CONTEXT", vars))
	if err != nil {
		return nil, err
	}
	return t.Vector("CONTEXT"), nil
}

// followNICs returns a VM's template with what follows from its NICs brought up to
// date: the context's blocks, and the rules of its security groups. gone are the
// NICs that the template has no more.
func (c *Cloud) followNICs(st *store.State, v *one.VM, t *tmpl.Template, gone []tmpl.Vector) (*tmpl.Template, error) {
	if rules := secGroupRules(st, t); len(rules) > 0 {
		t = t.WithVectors("SECURITY_GROUP_RULE", rules)
	} else {
		t = t.Without("SECURITY_GROUP_RULE")
	}
	vars := t.Vector("CONTEXT")
	if vars == nil {
		return t, nil
	}
	for _, nic := range gone {
		id, _ := atoi(nic.Get("NIC_ID"))
		if parent, isAlias := atoi(nic.Get("PARENT_ID")); isAlias {
			number, _ := atoi(nic.Get("ALIAS_ID"))
			vars = contextvars.ClearAlias(vars, parent, number)
		} else {
			vars = contextvars.ClearNIC(vars, id)
		}
	}
	// A VM keeps the gate it has when there is none any more.
	endpoint := firstOf(c.cfg.OneGateEndpoint, vars.Get("ONEGATE_ENDPOINT"))
	vars, err := c.completeContext(c.contextVM(st, v, t, v.UserTemplate), vars, endpoint)
	if err != nil {
		return nil, err
	}
	return t.WithVector("CONTEXT", vars), nil
}

// contextVM gives contextvars what it reads of a VM and of what is around it.
func (c *Cloud) contextVM(st *store.State, v *one.VM, t, user *tmpl.Template) *contextvars.VM {
	return &contextvars.VM{
		ID: v.ID, UID: v.UID, GID: v.GID, Name: v.Name, UName: v.UName, GName: v.GName, Template: t, UserTemplate: user,
		Outside: contextvars.Lookup{
			Network: func(network, ar int, name string) string {
				n, ok := st.VNets.Get(network)
				if !ok {
					return ""
				}
				if a, ok := n.AR(ar); ok {
					if s := a.Attrs.Get(name); s != "" {
						return s
					}
					if name == "PREFIX_LENGTH" && a.PrefixLength != "" {
						return a.PrefixLength
					}
				}
				return n.Template.Get(name)
			},
			Image: func(image int, name string) string {
				if i, ok := st.Images.Get(image); ok {
					return i.Template.Get(name)
				}
				return ""
			},
			User: func(name string) string {
				if u, ok := st.Users.Get(v.UID); ok {
					return u.Template.Get(name)
				}
				return ""
			},
			XML: func(kind string, id int) string { return string(guestXML(st, v, t, user, kind, id)) },
		},
	}
}

// guestXML returns the document of a VM, with the templates it is to have, or of an
// object around it, for its guest. A VM comes without its CONTEXT, which is what
// the document goes into; a user without what others could log in with; a network
// without its leases. Source: OneGate reference §5.4.
func guestXML(st *store.State, v *one.VM, t, user *tmpl.Template, kind string, id int) []byte {
	docs := &onexml.Docs{State: st}
	switch kind {
	case "VM":
		n := *v
		n.Template, n.UserTemplate = t.Without("CONTEXT"), user
		return docs.AppendVM(nil, &n)
	case "NETWORK":
		if n, ok := st.VNets.Get(id); ok {
			return docs.AppendVNet(nil, n, func(*one.Lease) bool { return false })
		}
	case "IMAGE":
		if i, ok := st.Images.Get(id); ok {
			return docs.AppendImage(nil, i)
		}
	case "USER":
		if u, ok := st.Users.Get(id); ok {
			n := *u
			n.Password, n.Tokens, n.Template = "", nil, u.Template.Without(append([]string{"TOKEN_PASSWORD"}, userEncrypted...)...)
			return docs.AppendUser(nil, &n)
		}
	}
	return nil
}

// imageOfRef finds the image a file reference names, usable by the caller.
func (c *Cloud) imageOfRef(st *store.State, who auth.Caller, r contextvars.FileRef) (*one.Image, error) {
	var i *one.Image
	if r.ID >= 0 {
		var ok bool
		if i, ok = st.Images.Get(r.ID); !ok {
			return nil, fmt.Errorf("Image with ID: %d does not exist", r.ID)
		}
	} else {
		uid := who.UID
		if r.UID >= 0 {
			uid = r.UID
		} else if r.UName != "" {
			id, ok := st.UserNames.Find(r.UName)
			if !ok {
				return nil, fmt.Errorf("User with name: %s does not exist", r.UName)
			}
			uid = id
		}
		id, ok := st.ImageNames.FindOf(uid, r.Name)
		if !ok {
			return nil, fmt.Errorf("User %d does not own an image with name: %s . Set IMAGE_UNAME or IMAGE_UID of owner.", uid, r.Name)
		}
		i, _ = st.Images.Get(id)
	}
	if c.allowRead(st, who, target(i), one.Use) != nil {
		return nil, errors.New("User not authorize to use image.")
	}
	return i, nil
}

// fileImage resolves KERNEL_DS or INITRD_DS to an image of the right type that
// is ready.
func (c *Cloud) fileImage(st *store.State, who auth.Caller, ref string, typ one.ImageType) (*one.Image, error) {
	refs, err := contextvars.ParseFiles(ref)
	if err != nil {
		return nil, err
	}
	if len(refs) != 1 {
		return nil, contextvars.FileError(ref, "Only one FILE variable can be used.")
	}
	i, err := c.imageOfRef(st, who, refs[0])
	if err != nil {
		return nil, contextvars.FileError(ref, err.Error())
	}
	if i.Type != typ {
		return nil, contextvars.FileError(ref, fmt.Sprintf("Only images of type %s can be used in %s_DS attribute.", typ, map[one.ImageType]string{one.ImageKernel: "KERNEL", one.ImageRamdisk: "INITRD"}[typ]))
	}
	if i.State != one.ImageReady {
		return nil, contextvars.FileError(ref, fmt.Sprintf("%s Image '%d' not in READY state.", typ, i.ID))
	}
	return i, nil
}
