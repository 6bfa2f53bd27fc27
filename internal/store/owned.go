package store

import "github.com/trifid-cloud/trifid/internal/one"

// Owned returns an object that has an owner, by kind and id.
func (s *State) Owned(kind one.Kind, id int) (one.Owned, bool) {
	switch kind {
	case one.KindVM:
		return owned(s.VM(id))
	case one.KindImage:
		return owned(s.Images.Get(id))
	case one.KindNet:
		return owned(s.VNets.Get(id))
	case one.KindTemplate:
		return owned(s.Templates.Get(id))
	case one.KindVNTemplate:
		return owned(s.VNTemplates.Get(id))
	case one.KindDatastore:
		return owned(s.Datastores.Get(id))
	case one.KindDocument:
		return owned(s.Documents.Get(id))
	case one.KindSecGroup:
		return owned(s.SecGroups.Get(id))
	case one.KindVRouter:
		return owned(s.VRouters.Get(id))
	}
	return nil, false
}

func owned[T one.Owned](v T, ok bool) (one.Owned, bool) {
	if !ok {
		return nil, false
	}
	return v, true
}

// PutOwned stores an object that has an owner.
func (tx *Tx) PutOwned(o one.Owned) {
	switch o := o.(type) {
	case *one.VM:
		tx.PutVM(o)
	case *one.Image:
		tx.PutImage(o)
	case *one.VNet:
		tx.PutVNet(o)
	case *one.VMTemplate:
		tx.PutTemplate(o)
	case *one.VNTemplate:
		tx.PutVNTemplate(o)
	case *one.Datastore:
		tx.PutDatastore(o)
	case *one.Document:
		tx.PutDocument(o)
	case *one.SecurityGroup:
		tx.PutSecGroup(o)
	case *one.VRouter:
		tx.PutVRouter(o)
	}
}
