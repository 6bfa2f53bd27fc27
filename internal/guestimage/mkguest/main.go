// Mkguest builds into the cache directory what guests boot from and says where it is. The last step of `make deps`, so
// that no test pays for it and a machine on which it fails is known early.
package main

import (
	"fmt"
	"os"

	"github.com/trifid-cloud/trifid/internal/guestimage"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkguest:", err)
		os.Exit(1)
	}
}

func run() error {
	cache, err := guestimage.CacheDir()
	if err != nil {
		return err
	}
	boot, err := guestimage.NewBoot(cache)
	if err != nil {
		return err
	}
	fmt.Printf("kernel %s\ninitrd %s\n", boot.Kernel, boot.Initrd)
	return nil
}
