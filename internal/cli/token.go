package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/client"
	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// tokenVerbs are about login tokens. Source: identity reference §3.
func tokenVerbs() []verb {
	create := verb{
		name: "token-create", short: "Log in: get a token and keep it in the credentials' file", args: []arg{optional(word("username"))},
		long:    "Without a user name the token is for the user of the present credentials.",
		example: "token-create ana --time 3600\ntoken-create --group testers --force",
		flags: func(f *pflag.FlagSet) {
			number(f, "time", "", 36000, "seconds it is good for, -1 for ever")
			text(f, "group", "", "the token is good for this group only")
			boolean(f, "force", "", "overwrite the credentials' file")
			boolean(f, "stdin_password", "", "read the password from standard input")
		},
		run: tokenCreate,
	}
	login := create
	login.name, login.short, login.example = "login", "The same as token-create", "login ana --force"
	return []verb{
		create, login,
		{
			name: "token-set", short: "Write a token into a file and print how to use it", example: "token-set --token b94d27\ntoken-set --group testers",
			flags: func(f *pflag.FlagSet) {
				text(f, "token", "", "beginning of the token")
				text(f, "group", "", "a token for this group")
				boolean(f, "global", "", "a token for all groups")
			},
			run: tokenSet,
		},
		{
			name: "token-delete", short: "Delete a token of yours", args: []arg{word("token")}, example: "token-delete b94d27",
			run: func(c *call) error {
				me, tokens, err := c.tokens()
				if err != nil {
					return err
				}
				var found []string
				for _, t := range tokens {
					if strings.HasPrefix(t.Get("TOKEN"), c.text(0)) {
						found = append(found, t.Get("TOKEN"))
					}
				}
				switch len(found) {
				case 0:
					return fmt.Errorf("No token with that beginning was found.")
				case 1:
					_, err = c.do("user.login", me.Get("NAME"), found[0], 0, -1)
					return err
				}
				return fmt.Errorf("More than one token begins so, write more of it.")
			},
		},
		{
			name: "token-delete-all", short: "Delete every token of a user", args: []arg{word("username")}, example: "token-delete-all ana",
			run: func(c *call) error {
				_, err := c.do("user.login", c.text(0), "", 0, -1)
				return err
			},
		},
	}
}

// tokens returns the caller and the caller's tokens.
func (c *call) tokens() (*doc.Node, []*doc.Node, error) {
	me, err := c.doc("user.info", ownID)
	return me, me.All("LOGIN_TOKEN"), err
}

func tokenCreate(c *call) error {
	seconds := 0
	if _, err := fmt.Sscanf(c.str("time"), "%d", &seconds); err != nil || seconds < -1 || seconds == 0 {
		return fmt.Errorf("time %q: expected a number of seconds above 0, or -1", c.str("time"))
	}
	name := c.text(0)
	if name != "" {
		if err := c.logIn(name); err != nil {
			return err
		}
	} else {
		me, err := c.doc("user.info", ownID)
		if err != nil {
			return err
		}
		name = me.Get("NAME")
	}
	egid := -1
	if g := c.str("group"); g != "" {
		var err error
		if egid, err = c.id(&groupPool, g); err != nil {
			return err
		}
	}
	r, err := c.do("user.login", name, "", seconds, egid)
	if err != nil {
		return err
	}
	said := "Authentication Token is:\n" + name + ":" + r.Text
	path := c.env().AuthFile()
	keep, err := c.mayWrite(path)
	if err != nil {
		return err
	}
	if !keep {
		c.out.Println("File " + path + " exists, use --force to overwrite.\n" + said)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	if err := writePrivate(path, name+":"+r.Text); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	c.out.Println(said)
	if c.io.Getenv("TRIFID_DATA") != "" && c.io.Getenv("ONE_AUTH") == "" {
		fmt.Fprintf(c.io.Err, "TRIFID_DATA still makes you oneadmin; to be %s: export ONE_AUTH=%s\n", name, path)
	}
	return nil
}

// logIn makes the client act as a user whose password is asked for.
func (c *call) logIn(name string) error {
	var password string
	var err error
	if c.flag("stdin_password") {
		password, err = readText(c.io.In)
		password = strings.TrimSpace(password)
	} else {
		password, err = c.askPassword("Password: ")
	}
	if err != nil {
		return err
	}
	conf, err := c.env().Core(client.Options{Endpoint: c.str("endpoint"), User: name, Password: password})
	if err != nil {
		return err
	}
	c.conf = conf
	c.server, err = client.NewCore(conf)
	return err
}

// mayWrite tells whether the credentials' file may be written: it is not there,
// --force was given, or the user agrees.
func (c *call) mayWrite(path string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || c.flag("force") {
		return true, nil
	}
	if !c.canAsk() {
		return false, nil
	}
	answer, err := c.ask("  * Do you want to overwrite the file " + path + "? (Y|N): ")
	return err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(answer)), err
}

func tokenSet(c *call) error {
	me, tokens, err := c.tokens()
	if err != nil {
		return err
	}
	egid := ""
	if c.flag("global") {
		egid = "-1"
	} else if g := c.str("group"); g != "" {
		id, err := c.id(&groupPool, g)
		if err != nil {
			return err
		}
		egid = fmt.Sprint(id)
	}
	var best *doc.Node // the one that lasts longest
	for _, t := range tokens {
		end := t.Int("EXPIRATION_TIME")
		if !strings.HasPrefix(t.Get("TOKEN"), c.str("token")) || egid != "" && t.Get("EGID") != egid || end != -1 && end <= c.now() {
			continue
		}
		if best == nil || best.Int("EXPIRATION_TIME") != -1 && (end == -1 || end > best.Int("EXPIRATION_TIME")) {
			best = t
		}
	}
	if best == nil {
		return fmt.Errorf("No valid tokens found.")
	}
	session := me.Get("NAME") + ":" + best.Get("TOKEN")
	sum := sha256.Sum256([]byte(session)) // a name that does not tell the token
	path := filepath.Join(c.env().OneDir(), hex.EncodeToString(sum[:16])+".token")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	if err := writePrivate(path, session); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	c.out.Printf("export ONE_AUTH=%s; export ONE_EGID=%s\n", path, best.Get("EGID"))
	return nil
}
