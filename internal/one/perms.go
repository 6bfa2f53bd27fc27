package one

// Perms holds the nine permission bits, like a Unix mode:
// owner 0700, group 0070, other 0007; use 4, manage 2, admin 1.
// Source: identity reference §6.1.
type Perms uint16

// The rights of a permission class and of an ACL rule. They are bits so that a
// rule can hold several. Source: identity reference §7.1.
type Right uint8

// Rights, with the values the ACL protocol gives them.
const (
	Use    Right = 0x1
	Manage Right = 0x2
	Admin  Right = 0x4
	Create Right = 0x8
)

// String returns the word of messages and rule texts.
func (r Right) String() string {
	switch r {
	case Use:
		return "USE"
	case Manage:
		return "MANAGE"
	case Admin:
		return "ADMIN"
	case Create:
		return "CREATE"
	}
	return r.all()
}

// octal returns the bit a right has within one permission class.
func (r Right) octal() Perms {
	switch r {
	case Use:
		return 4
	case Manage:
		return 2
	case Admin:
		return 1
	}
	return 0
}

// Owner, Group and Other tell whether that class holds the right.
func (p Perms) Owner(r Right) bool { return p&(r.octal()<<6) != 0 }

// Group tells whether the group class holds the right.
func (p Perms) Group(r Right) bool { return p&(r.octal()<<3) != 0 }

// Other tells whether everybody holds the right.
func (p Perms) Other(r Right) bool { return p&r.octal() != 0 }

// Bits returns the nine bits in the order of PERMISSIONS documents: OWNER_U,
// OWNER_M, OWNER_A, GROUP_U, …, OTHER_A.
func (p Perms) Bits() [9]int {
	var b [9]int
	for i := range b {
		if p&(1<<(8-i)) != 0 {
			b[i] = 1
		}
	}
	return b
}

// WithBits returns p changed by nine values in the order of Bits: 1 sets, 0
// clears, -1 keeps.
func (p Perms) WithBits(bits [9]int) Perms {
	for i, b := range bits {
		switch b {
		case 1:
			p |= 1 << (8 - i)
		case 0:
			p &^= 1 << (8 - i)
		}
	}
	return p
}

// DefaultPerms returns the permissions of a new object: base 0777 for
// administrators and 0666 for others, less the umask.
// Source: identity reference §6.2.
func DefaultPerms(admin bool, umask uint16) Perms {
	base := Perms(0o666)
	if admin {
		base = 0o777
	}
	return base &^ Perms(umask)
}

// Lock is a lock on an object; the zero value means unlocked.
type Lock struct {
	Level LockLevel
	Owner int   // uid
	Time  int64 // epoch seconds
	ReqID int
}

// LockLevel tells which rights a lock blocks.
type LockLevel int

// Lock levels. Source: identity reference §9.
const (
	Unlocked   LockLevel = 0
	LockUse    LockLevel = 1 // blocks use, manage and admin
	LockManage LockLevel = 2 // blocks manage and admin
	LockAdmin  LockLevel = 3 // blocks admin
)

// Blocks tells whether the lock refuses a request for the right.
func (l Lock) Blocks(r Right) bool {
	return l.Level != Unlocked && int(l.Level) <= int(r)
}
