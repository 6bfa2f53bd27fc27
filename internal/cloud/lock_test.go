package cloud

import (
	"strconv"
	"testing"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// lockable are objects that can be locked, with what uses, manages and administers
// them.
func lockable() []struct {
	kind            one.Kind
	id              int
	use, administer func(*world, auth.Caller) error
} {
	return []struct {
		kind            one.Kind
		id              int
		use, administer func(*world, auth.Caller) error
	}{
		{one.KindTemplate, 0, func(w *world, who auth.Caller) error {
			return second(w.Instantiate(w.ctx, who, 0, "", false, nil, false))
		}, chmod(one.KindTemplate, 0, 2, 1)},
		{one.KindImage, 0, func(w *world, who auth.Caller) error {
			return second(w.CloneImage(w.ctx, who, 0, "new", -1))
		}, chmod(one.KindImage, 0, 2, 1)},
		{one.KindNet, 0, func(w *world, who auth.Caller) error {
			return second(w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 NIC=[NETWORK_ID=0]"), false))
		}, chmod(one.KindNet, 0, 2, 1)},
		{one.KindVNTemplate, 0, func(w *world, who auth.Caller) error {
			return second(w.InstantiateVNTemplate(w.ctx, who, 0, "", nil))
		}, chmod(one.KindVNTemplate, 0, 2, 1)},
		{one.KindDocument, 1, func(w *world, who auth.Caller) error {
			return second(w.CloneDocument(w.ctx, who, 1, "new"))
		}, chmod(one.KindDocument, 1, 2, 1)},
		{one.KindVM, 1, nil, vmAction(1, "resched")},
		{one.KindVRouter, 0, nil, chmod(one.KindVRouter, 0, 2, 1)},
	}
}

// TestLocks: a lock keeps everybody out, its owner and administrators too, from its
// level on. Source: identity reference §9.
func TestLocks(t *testing.T) {
	t.Parallel()
	for _, o := range lockable() {
		word, about := o.kind.String(), " "+o.kind.String()+" ["+strconv.Itoa(o.id)+"]"
		rename := func(w *world, who auth.Caller) error { return w.Rename(w.ctx, who, o.kind, o.id, "new") }
		info := func(w *world, who auth.Caller) error { return third(w.Info(who, o.kind, o.id)) }
		for level := 1; level <= 4; level++ {
			for _, uid := range []int{owner, one.OneadminID} {
				for _, c := range []struct {
					right   one.Right
					call    func(*world, auth.Caller) error
					blocked bool
				}{
					{one.Use, info, false}, {one.Use, o.use, level == 1 || level == 4}, {one.Manage, rename, level != 3}, {one.Admin, o.administer, true},
				} {
					if c.call == nil || c.right == one.Admin && uid == owner {
						continue
					}
					w := newWorld(t)
					if err := w.Lock(w.ctx, w.as(owner), o.kind, o.id, level, false); err != nil {
						t.Fatal(err)
					}
					err := c.call(w, w.as(uid))
					want := ""
					switch {
					case !c.blocked:
					case uid == owner:
						want = "User [2] : Not authorized to perform " + c.right.String() + about + "."
					default:
						want = "User [0] : " + word + " is locked. [" + strconv.Itoa(o.id) + "]."
					}
					if got := errText(err); got != want || c.blocked && errs.KindOf(err) != errs.Authorization {
						t.Errorf("%s locked at %d, user %d, %s: got %q, want %q", word, level, uid, c.right, got, want)
					}
				}
			}
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestLockOwner: who may lock anew and unlock. Source: XML-RPC reference §6.7.
func TestLockOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lock := func(uid, level int, test bool) error { return w.Lock(w.ctx, w.as(uid), one.KindVM, 0, level, test) }
	unlock := func(uid int) error { return w.Unlock(w.ctx, w.as(uid), one.KindVM, 0) }
	for _, step := range []struct {
		name string
		err  error
		want string
		now  one.LockLevel
	}{
		{"level 0", lock(owner, 0, false), "Wrong lock level specified", one.Unlocked},
		{"level 5", lock(owner, 5, false), "Wrong lock level specified", one.Unlocked},
		{"unlock what is not locked", unlock(owner), "", one.Unlocked},
	} {
		w.checkLock(step.name, step.err, step.want, step.now)
	}
	w.checkLock("first", lock(owner, 4, true), "", one.LockUse)
	w.checkLock("again, testing", lock(owner, 2, true), "1700000000", one.LockUse)
	w.checkLock("by another who manages it", lock(chief, 2, false), "Error trying to lock the resource.", one.LockUse)
	w.checkLock("unlocked by another", unlock(chief), "Cannot unlock: Lock is owned by another user", one.LockUse)
	w.checkLock("by its owner", lock(owner, 2, false), "", one.LockManage)
	w.checkLock("by an administrator", lock(deputy, 3, false), "", one.LockAdmin)
	w.checkLock("unlocked by the owner before", unlock(owner), "Cannot unlock: Lock is owned by another user", one.LockAdmin)
	w.checkLock("unlocked by an administrator", unlock(one.OneadminID), "", one.Unlocked)
}

func (w *world) checkLock(what string, err error, want string, now one.LockLevel) {
	w.t.Helper()
	v, _ := w.View().VM(0)
	if errText(err) != want || err != nil && errs.KindOf(err) != errs.Action || v.Lock.Level != now {
		w.t.Errorf("%s: got %q and level %d, want %q and level %d", what, errText(err), v.Lock.Level, want, now)
	}
}

// TestLockedImage: a lock does not keep an image from being cloned for a disk, but
// from being used as it is. Source: identity reference §9.
func TestLockedImage(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{false, true} {
		w := newWorld(t)
		who := w.as(owner)
		if err := w.PersistImage(w.ctx, who, 0, persistent); err != nil {
			t.Fatal(err)
		}
		if err := w.Lock(w.ctx, who, one.KindImage, 0, 1, false); err != nil {
			t.Fatal(err)
		}
		_, err := w.AllocateVM(w.ctx, who, parsed("CPU=1 MEMORY=64 DISK=[IMAGE_ID=0]"), false)
		if refused := errs.KindOf(err) == errs.Authorization; err != nil && !refused || refused != persistent {
			t.Errorf("persistent %v: %v", persistent, err)
		}
	}
}

// TestOperationLevels: users and groups may have other levels for VM operations.
// Source: identity reference §6.3.
func TestOperationLevels(t *testing.T) {
	t.Parallel()
	deploy := func(w *world, who auth.Caller) error { return w.DeployVM(w.ctx, who, 0, 0, false, -1, nil) }
	rename := func(w *world, who auth.Caller) error { return w.Rename(w.ctx, who, one.KindVM, 0, "new") }
	recreate := func(w *world, who auth.Caller) error { return w.RecoverVM(w.ctx, who, 4, 4) }
	poweroff := vmAction(1, "poweroff-hard")
	for _, l := range []struct {
		user, group string
		uid         int
		call        func(*world, auth.Caller) error
		allowed     bool
	}{
		{``, ``, owner, deploy, false},
		{`VM_MANAGE_OPERATIONS="deploy"`, ``, owner, deploy, true},
		{``, `VM_MANAGE_OPERATIONS="migrate, Deploy"`, owner, deploy, true},
		{`VM_ADMIN_OPERATIONS="deploy"`, `VM_MANAGE_OPERATIONS="deploy"`, owner, deploy, false},
		{`VM_MANAGE_OPERATIONS="deploy"`, `VM_ADMIN_OPERATIONS="deploy"`, owner, deploy, true},
		{`VM_MANAGE_OPERATIONS="deploy" VM_ADMIN_OPERATIONS="deploy"`, ``, owner, deploy, false},
		{`VM_USE_OPERATIONS="deploy" VM_MANAGE_OPERATIONS="deploy"`, ``, member, deploy, false},
		{`VM_USE_OPERATIONS="deploy"`, ``, member, deploy, true},
		{`VM_USE_OPERATIONS="deploy"`, ``, stranger, deploy, false},
		{`VM_ADMIN_OPERATIONS="rename"`, ``, owner, rename, false},
		{`VM_USE_OPERATIONS="rename"`, ``, member, rename, true},
		{`VM_USE_OPERATIONS="poweroff"`, ``, member, poweroff, true},
		{`VM_USE_OPERATIONS="reboot"`, ``, member, poweroff, false},
		{`VM_MANAGE_OPERATIONS="recover"`, ``, owner, recreate, false},
		{`VM_MANAGE_OPERATIONS="delete"`, ``, owner, recreate, true},
	} {
		w := newWorld(t)
		w.do(func(tx *store.Tx) {
			u := *tx.Users.At(l.uid)
			u.Template = parsed(l.user + " A=b")
			tx.PutUser(&u)
			g := *tx.Groups.At(u.GID)
			g.Template = parsed(l.group + " A=b")
			tx.PutGroup(&g)
		})
		err := l.call(w, w.as(l.uid))
		if (err == nil) != l.allowed || err != nil && errs.KindOf(err) != errs.Authorization {
			t.Errorf("user %d has %q, the group %q: %v", l.uid, l.user, l.group, err)
		}
	}
}
