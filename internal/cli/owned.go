package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// The verbs that many nouns share.

func deleteVerb(name, done string) verb {
	return verb{name: "delete", short: "Delete objects", args: []arg{selfs(name)}, example: "delete 7\ndelete 3,8..15", run: method("delete", done, nil)}
}

func renameVerb(name string) verb {
	return verb{
		name: "rename", short: "Rename an object", args: []arg{self(name), word("name")}, example: "rename 7 new-name",
		run: method("rename", "renamed", func(c *call) ([]any, error) { return []any{c.text(1)}, nil }),
	}
}

// updateVerb replaces or extends the template found at a path of the document.
func updateVerb(name, path, done string) verb {
	return verb{
		name: "update", short: "Change the template",
		long:    "The new template comes from a file, else from standard input, else from an editor.",
		example: "update 7\nupdate 7 new.tmpl --append",
		args:    []arg{self(name), file},
		flags:   appendFlags,
		run: func(c *call) error {
			t, err := c.edit(1, c.templateOf(c.subjects()[0], path))
			if err != nil {
				return err
			}
			return c.each(done, func(id int) error {
				_, err := c.do(c.noun.pool.object+".update", id, t, c.appendFlag())
				return err
			})
		},
	}
}

func appendFlags(f *pflag.FlagSet) {
	boolean(f, "append", "a", "add to the current template, replacing attributes of the same names")
}

func chownVerbs(name string) []verb {
	return []verb{
		{
			name: "chown", short: "Change owner and group", args: []arg{selfs(name), of("userid", &userPool), optional(of("groupid", &groupPool))},
			example: "chown 7 ana\nchown 7 ana users",
			run: method("chown", "Owner/Group changed", func(c *call) ([]any, error) {
				return []any{c.num(1, -1), c.num(2, -1)}, nil
			}),
		},
		{
			name: "chgrp", short: "Change the group", args: []arg{selfs(name), of("groupid", &groupPool)}, example: "chgrp 7 users",
			run: method("chown", "Group changed", func(c *call) ([]any, error) { return []any{-1, c.num(1, -1)}, nil }),
		},
	}
}

func chmodVerb(name string, flags func(*pflag.FlagSet), more ...func(c *call) any) verb {
	return verb{
		name: "chmod", short: "Change permissions", args: []arg{selfs(name), word("octet")}, flags: flags,
		long:    "Permissions are three octal digits, or u=rwx,g=rx,o=r: read stands for use, write for manage and execute for admin.",
		example: "chmod 7 640\nchmod 7 u=rw,g=r",
		run: method("chmod", "Permissions changed", func(c *call) ([]any, error) {
			bits, err := octet(c.text(1))
			if err != nil {
				return nil, err
			}
			for _, m := range more {
				bits = append(bits, m(c))
			}
			return bits, nil
		}),
	}
}

// octet reads permissions into nine numbers: owner's use, manage and admin, then
// the group's and others'.
func octet(s string) ([]any, error) {
	digits := s
	if strings.Contains(s, "=") {
		classes := map[string]byte{"u": '0', "g": '0', "o": '0'}
		for part := range strings.SplitSeq(s, ",") {
			class, letters, _ := strings.Cut(part, "=")
			if _, ok := classes[class]; !ok || strings.Trim(letters, "rwx") != "" {
				return nil, fmt.Errorf("Error in permissions format")
			}
			var d byte = '0'
			for i, l := range "xwr" {
				if strings.ContainsRune(letters, l) {
					d += 1 << i
				}
			}
			classes[class] = d
		}
		digits = string([]byte{classes["u"], classes["g"], classes["o"]})
	}
	if len(digits) > 3 || digits == "" || strings.Trim(digits, "01234567") != "" {
		return nil, fmt.Errorf("permissions %q: expected three octal digits or u=rwx,g=rx,o=r", s)
	}
	digits = strings.Repeat("0", 3-len(digits)) + digits
	var bits []any
	for _, d := range digits {
		for _, bit := range []rune{4, 2, 1} {
			if (d-'0')&bit != 0 {
				bits = append(bits, 1)
			} else {
				bits = append(bits, 0)
			}
		}
	}
	return bits, nil
}

// lockVerbs lock and unlock; what names the object in what is said.
func lockVerbs(name, what string) []verb {
	return []verb{
		{
			name: "lock", short: "Lock against actions", args: []arg{selfs(name)},
			long: `--use locks everything, --manage what needs manage or admin rights, --admin what needs admin rights.
Without one of them the lock is --use. Showing is never locked.`,
			example: "lock 7 --manage",
			flags: func(f *pflag.FlagSet) {
				boolean(f, "use", "", "lock use, manage and admin actions")
				boolean(f, "manage", "", "lock manage and admin actions")
				boolean(f, "admin", "", "lock admin actions")
				boolean(f, "all", "", "lock every action")
			},
			run: method("lock", what+" locked", func(c *call) ([]any, error) {
				for level, flag := range []string{1: "use", 2: "manage", 3: "admin", 4: "all"} {
					if level > 0 && c.flag(flag) {
						return []any{level, false}, nil
					}
				}
				return []any{1, false}, nil
			}),
		},
		{name: "unlock", short: "Unlock", args: []arg{selfs(name)}, example: "unlock 7", run: method("unlock", what+" unlocked", nil)},
	}
}

// recoverVerb answers for an operation that hangs; results maps flags to the
// numbers of the method.
func recoverVerb(name, long string, flags []recovery) verb {
	return verb{
		name: "recover", short: "Decide an operation that hangs", args: []arg{selfs(name)}, long: long, example: "recover 7 --success",
		flags: func(f *pflag.FlagSet) {
			for _, r := range flags {
				boolean(f, r.flag, "", r.usage)
			}
		},
		run: method("recover", "recovering", func(c *call) ([]any, error) {
			for _, r := range flags {
				if c.flag(r.flag) {
					return []any{r.op}, nil
				}
			}
			text := []string{"Need to specify the result of the pending action."}
			for _, r := range flags {
				text = append(text, "\t--"+r.flag+" "+r.usage)
			}
			return nil, errors.New(strings.Join(text, "\n"))
		}),
	}
}

type recovery struct {
	flag  string
	op    int
	usage string
}
