package cli

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// vmSSH opens a shell in the guest, with the ssh of this machine.
func vmSSH() verb {
	return verb{
		name: "ssh", short: "Open a shell in the guest, or run a command there", args: []arg{self("vmid"), optional(word("login"))},
		long:    "The login is root when left out. The exit code is that of ssh.",
		example: "ssh web\nssh web admin --cmd uptime",
		flags:   func(f *pflag.FlagSet) { text(f, "cmd", "c", "command to run") },
		run: func(c *call) error {
			n, err := c.info(c.num(0, -1))
			if err != nil {
				return err
			}
			ip := reachable(n)
			if ip == "" {
				return fmt.Errorf("VM %s has no IP address", n.Get("ID"))
			}
			login := c.text(1)
			if login == "" {
				login = "root"
			}
			args := []string{"-l", login, "--", ip} // a login cannot be read as an option
			if s := c.str("cmd"); s != "" {
				args = append(args, s)
			}
			cmd := exec.CommandContext(c.ctx, "ssh", args...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = c.io.In, c.io.Out, c.io.Err
			err = cmd.Run()
			if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() > 0 {
				return &exitError{code: ended.ExitCode()}
			}
			if err != nil {
				return fmt.Errorf("run ssh: %w", err)
			}
			return nil
		},
	}
}

// reachable is the address of a VM to connect to: the first that is said to be
// reachable from outside, else the first of all.
func reachable(n *doc.Node) string {
	for _, attr := range []string{"EXTERNAL_IP", "IP", "IP6_GLOBAL", "IP6", "IP6_ULA"} {
		for _, nic := range n.All("TEMPLATE/NIC") {
			if ip := nic.Get(attr); ip != "" {
				return ip
			}
		}
	}
	return ""
}
