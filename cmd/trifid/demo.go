package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/demo"
	"github.com/trifid-cloud/trifid/internal/guestimage"
	"github.com/trifid-cloud/trifid/internal/sandbox"
)

func demoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole idea on real guests, in namespaces of its own",
		Long: `Start a cloud in network, mount and process namespaces of its own, boot real
QEMU guests, let them talk to OneGate and let OneFlow scale their service; kill
the server in the middle. It needs root, and what "make deps" installs. Nothing
of this machine is touched and nothing is left behind.`,
		Example: "  make demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			onegate := filepath.Join(filepath.Dir(program), "onegate")
			if _, err := os.Stat(onegate); err != nil {
				return fmt.Errorf("the guest's client is missing: %w; run 'make build'", err)
			}
			cache, err := guestimage.CacheDir()
			if err != nil {
				return err
			}
			if err := sandbox.LibvirtMissing(); err != nil {
				return err
			}
			status, err := sandbox.Run(func() int {
				err := demo.Run(cmd.Context(), demo.Options{
					Program: program, Onegate: onegate, Cache: cache, Out: cmd.OutOrStdout(), Keep: keep,
				})
				if err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "demo: failed: %v\n", err)
					return 1
				}
				fmt.Fprintln(cmd.OutOrStdout(), "demo: ok")
				return 0
			})
			if err != nil {
				return err
			}
			if status != 0 {
				os.Exit(status) // what went wrong was told inside
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the working directory for a look")
	return cmd
}
