package cloud

import (
	"fmt"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// ImageStepID names the present step of an image.
func ImageStepID(epoch uint64, i *one.Image) agentapi.StepID {
	return agentapi.StepID{Epoch: epoch, Subject: agentapi.SubjectImage, ID: i.ID, State: stepState(i), Attempt: i.Attempt}
}

// stepState is the state an image's step is named by: taking or releasing a
// locked image does not make it another step.
func stepState(i *one.Image) int {
	if i.State.Copying() {
		return int(one.ImageLocked)
	}
	return int(i.State)
}

// ImageSpec is what an agent must know to do the step of an image.
func (c *Cloud) ImageSpec(st *store.State, i *one.Image) (*agentapi.ImageSpec, error) {
	d, ok := st.Datastores.Get(i.DatastoreID)
	if !ok {
		return nil, fmt.Errorf("datastore %d of image %d does not exist", i.DatastoreID, i.ID)
	}
	s := &agentapi.ImageSpec{
		ID: i.ID, DatastoreID: d.ID, Path: i.Path, Source: i.Source, Format: firstOf(d.Template.Get("DRIVER"), i.Format),
		FS: i.FS, SizeMB: i.Size, SafeDirs: dirs(d.Template.Get("SAFE_DIRS")),
		RestrictedDirs: dirs(d.Template.Get("RESTRICTED_DIRS")), CDROM: i.Type == one.ImageCDROM || i.Type.IsFile(),
	}
	if !i.State.Copying() {
		return s, nil
	}
	if room, known := c.room(d); known && !i.Unchecked {
		s.LimitMB = max(room, 1) // 0 would be no limit
	}
	if i.CloningID < 0 {
		s.MD5, s.SHA1 = i.Template.Get("MD5"), i.Template.Get("SHA1")
	} else {
		src, ok := st.Images.Get(i.CloningID)
		if !ok {
			return nil, fmt.Errorf("image %d, the source of the copy, does not exist any more", i.CloningID)
		}
		s.Source, s.Format = src.Source, src.Format
	}
	return s, nil
}

// FinishImage applies the outcome of an image's step, if it is still wanted.
// Source: resources reference §3.3.
func (c *Cloud) FinishImage(tx *store.Tx, r agentapi.Result) error {
	i, ok := tx.Images.Get(r.ID)
	if !ok {
		return nil
	}
	want := ImageStepID(r.Epoch, i)
	if want != r.StepID {
		return nil
	}
	if i.State == one.ImageDelete {
		return c.finishDelete(tx, i, r)
	}
	if !i.State.Copying() {
		return nil
	}
	n := *i
	n.PrevState, n.Attempt, n.Since = i.State, i.Attempt+1, c.now().UnixMilli()
	if r.OK() {
		n.Source, n.Format = r.Source, firstOf(r.Format, i.Format)
		if r.SizeMB > 0 {
			n.Size = r.SizeMB
		}
		n.State = map[one.ImageState]one.ImageState{
			one.ImageLocked: one.ImageReady, one.ImageLockedUsed: one.ImageUsed, one.ImageLockedUsedPers: one.ImageUsedPers,
		}[i.State]
		n.Template = n.Template.Without("ERROR")
	} else {
		n.State = one.ImageError
		n.Template = n.Template.With("ERROR", c.now().Format(time.ANSIC)+" : "+r.Error)
		c.log.Warn("image not made", "image", i.ID, "err", r.Error)
	}
	source := n.CloningID
	n.CloningID = -1
	tx.PutImage(&n)
	if r.OK() && n.Size > i.Size {
		// Only now its size is known: an image beyond its owner's quota is no use to him.
		grown := one.Usage{Datastores: map[int]one.DatastoreQuota{n.DatastoreID: {Size: float64(n.Size - i.Size)}}}
		if reason := quotaExcess(&tx.State, n.UID, n.GID, grown); reason != "" {
			over := n
			over.State = one.ImageError
			over.Template = n.Template.With("ERROR", c.now().Format(time.ANSIC)+" : "+reason)
			tx.PutImage(&over)
		}
	}
	if source >= 0 {
		endCloning(tx, source)
	}
	c.ReviewWaiting(tx, i.ID, -1)
	return nil
}

// perReview bounds how many VMs move on in one transaction.
const perReview = 64

// ReviewWaiting moves VMs on that wait for an image whose making has ended: those
// with ids above after, as many as a transaction may hold. It returns the last one
// it looked at, and whether there are more.
func (c *Cloud) ReviewWaiting(tx *store.Tx, image, after int) (last int, more bool) {
	n := 0
	for _, id := range tx.ImageVMs.List(image) {
		v, ok := tx.VMs.Get(id)
		if id <= after || !ok || v.State != one.VMCloning && v.State != one.VMCloningFailure {
			continue
		}
		if n++; n > perReview {
			return after, true
		}
		c.reviewCloning(tx, v)
		after = id
	}
	return after, false
}

// endCloning notes that one copy less is being made of an image.
func endCloning(tx *store.Tx, id int) {
	i, ok := tx.Images.Get(id)
	if !ok || i.CloningOps == 0 {
		return
	}
	n := *i
	n.CloningOps--
	if n.CloningOps == 0 && n.State == one.ImageClone {
		n.PrevState, n.State = n.State, one.ImageReady
		if tx.ImageVMs.Any(id) {
			n.State = one.ImageUsed
		}
	}
	tx.PutImage(&n)
}

func (c *Cloud) finishDelete(tx *store.Tx, i *one.Image, r agentapi.Result) error {
	if r.OK() || i.Forget {
		if i.CloningID >= 0 {
			endCloning(tx, i.CloningID)
		}
		tx.DeleteImage(i.ID)
		c.dropRulesOf(tx, one.KindImage, i.ID)
		return nil
	}
	n := *i
	n.PrevState, n.State, n.Attempt = i.State, one.ImageError, i.Attempt+1
	n.Template = n.Template.With("ERROR", c.now().Format(time.ANSIC)+" : "+r.Error)
	tx.PutImage(&n)
	return nil
}
