package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/trifid-cloud/trifid/internal/config"
	"github.com/trifid-cloud/trifid/internal/daemon"
	"github.com/trifid-cloud/trifid/internal/logline"
)

// dataFlag declares --data for commands that work on a data directory without a
// configuration. It returns the function that reads it.
func dataFlag(cmd *cobra.Command) func() string {
	data := cmd.Flags().String("data", "", "data directory (default $TRIFID_DATA or "+config.Default().Data+")")
	return func() string { return cmp.Or(*data, os.Getenv("TRIFID_DATA"), config.Default().Data) }
}

func snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save the state of a running server to a file",
		Long: `Write the state of the server that runs on the data directory, with its
credentials, to a file. The server goes on working; the file is of one instant,
and takes the place of one of that name when it is complete, checked and on disk.
Only the server's user and root may do it.

The file holds every secret of the cloud: keep it as you keep passwords. Images
and disks are not in it.`,
		Example: `  trifid snapshot cloud.snapshot
  trifid snapshot --data /srv/cloud /backup/$(date +%F).snapshot`,
		Args: cobra.ExactArgs(1),
	}
	data := dataFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b, err := daemon.Snapshot(cmd.Context(), data(), args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: revision %d, %d keys, %d bytes\n", args[0], b.Revision, b.Keys, b.Size)
		return err
	}
	return cmd
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data directory from a snapshot",
		Long: `Put a snapshot into a data directory that has neither a store nor credentials;
images, disks and what agents keep may be there. Then start the server on it: it
goes on where the snapshot was taken.

Agents accept the restored server whatever they have seen of the one before. VMs
that the snapshot does not know keep running; they are named in the log, and
never touched. A restore that was cut short may be done again.`,
		Example: `  trifid restore cloud.snapshot
  trifid restore --data /srv/cloud2 /backup/2026-11-21.snapshot`,
		Args: cobra.ExactArgs(1),
	}
	data := dataFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		log, lines := logline.New(config.Log{Level: "warn"}, cmd.ErrOrStderr())
		b, err := daemon.Restore(cmd.Context(), args[0], data(), log)
		if err = errors.Join(err, lines.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: the state of %s, %d keys\n", data(), time.Unix(b.Taken, 0).UTC().Format(time.RFC3339), b.Keys)
		return err
	}
	return cmd
}
