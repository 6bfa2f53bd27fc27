package one

import (
	"errors"
	"fmt"
	"strings"
)

// MaxNameLen is the longest name of an object, in bytes.
const MaxNameLen = 128

const (
	forbiddenInNames     = "&|:\\\";/'#{}$<>"
	forbiddenInUserNames = forbiddenInNames + " \t\n\v\f\r"
)

// CheckName applies the rules of object names; its texts are the reference's.
// Source: XML-RPC reference §5.2.
func CheckName(name string) error { return checkName(name, forbiddenInNames) }

// CheckUserName applies the stricter rules of user names: no blanks either.
func CheckUserName(name string) error { return checkName(name, forbiddenInUserNames) }

func checkName(name, forbidden string) error {
	if name == "" {
		return errors.New("Invalid NAME, it cannot be empty")
	}
	if i := strings.IndexAny(name, forbidden); i >= 0 {
		return fmt.Errorf("Invalid NAME, char '%c' is not allowed", name[i])
	}
	if len(name) > MaxNameLen {
		return fmt.Errorf("Invalid NAME, max length is %d chars", MaxNameLen)
	}
	return nil
}

// TrimName removes the trailing blanks that creation ignores.
func TrimName(name string) string { return strings.TrimRight(name, " \t\n\v\f\r") }

// CheckPassword applies the rules of passwords. Source: identity reference §2.
func CheckPassword(password string) error {
	if password == "" {
		return errors.New("Invalid password, it cannot be empty")
	}
	if i := strings.IndexAny(password, " \t\n\v\f\r"); i >= 0 {
		return fmt.Errorf("Invalid password, character '%c' is not allowed", password[i])
	}
	return nil
}

// NameKey tells among whose objects a name is unique: the owner's here.
func (m Meta) NameKey() (owner int, name string) { return m.UID, m.Name }

// NameKey of the pools in which names are unique: owner 0.
func (g *Group) NameKey() (owner int, name string)   { return 0, g.Name }
func (v *VDC) NameKey() (owner int, name string)     { return 0, v.Name }
func (z *Zone) NameKey() (owner int, name string)    { return 0, z.Name }
func (c *Cluster) NameKey() (owner int, name string) { return 0, c.Name }
