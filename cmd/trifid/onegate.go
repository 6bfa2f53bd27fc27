package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/onegate"
)

// onegateName is the name by which the program is the guest's client.
const onegateName = "onegate"

// calledAsOnegate tells whether the program was called through a link of that name.
func calledAsOnegate() bool { return filepath.Base(os.Args[0]) == onegateName }

// onegateCommand makes the guest's client a command of this program as well; a
// guest itself wants the small program that is nothing else.
func onegateCommand() *cobra.Command {
	return &cobra.Command{
		Use:                onegateName + " <command>",
		Short:              "Talk to the cloud from inside a guest",
		Example:            "  trifid onegate vm show\n  trifid onegate vm update --data READY=YES",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			os.Exit(onegate.Main(cmd.Context(), args))
			return nil
		},
	}
}
