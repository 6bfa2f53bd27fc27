package cloud

import (
	"errors"
	"fmt"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/contextvars"
	"github.com/trifid-cloud/trifid/internal/one"
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
	return c.completeContext(cv, vars)
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
func (c *Cloud) completeContext(cv *contextvars.VM, vars tmpl.Vector) (tmpl.Vector, error) {
	vars, err := contextvars.Generate(vars, cv, c.cfg.OneGateEndpoint)
	if err != nil {
		return nil, err
	}
	t, err := c.encrypt(one.KindVM, (*tmpl.Template)(nil).WithVector("CONTEXT", vars))
	if err != nil {
		return nil, err
	}
	return t.Vector("CONTEXT"), nil
}

// renewContext returns the VM with the cloud's own variables brought up to date,
// after its NICs changed.
func (c *Cloud) renewContext(tx *store.Tx, v *one.VM) (*one.VM, error) {
	old := v.Template.Vector("CONTEXT")
	if old == nil {
		return v, nil
	}
	vars, err := c.completeContext(c.contextVM(&tx.State, v, v.Template, v.UserTemplate), old)
	if err != nil {
		return nil, err
	}
	n := *v
	n.Template = v.Template.WithVector("CONTEXT", vars)
	return &n, nil
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
		},
	}
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
