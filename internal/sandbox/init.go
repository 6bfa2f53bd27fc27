package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// covered are the directories of the machine that the inside sees empty. /run as a whole, because it holds the sockets
// of the machine's own daemons (libvirt would talk to its systemd and D-Bus), the others for libvirt's state.
var covered = []string{"/run", "/etc/libvirt", "/var/cache/libvirt", "/var/lib/libvirt", "/var/log/libvirt"}

// runInit is process 1: it sets the sandbox up, starts the inside copy and reaps until that one ends. Being process 1, it
// takes everything else in the sandbox with it.
func runInit() (int, error) {
	if err := setUp(); err != nil {
		return 1, fmt.Errorf("set up the sandbox: %w", err)
	}
	id, err := identity()
	if err != nil {
		return 1, err
	}
	cmd := copyOfSelf(id)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start inside the sandbox: %w", err)
	}
	// Outside has made SIGTERM of an interrupt that the inside does not have yet.
	stop := forwardSignals(cmd.Process, func(s os.Signal) os.Signal {
		if s == os.Interrupt {
			return nil
		}
		return s
	})
	defer stop()
	return reapUntil(cmd.Process.Pid)
}

// reapUntil waits for every process that ends until pid has. Without it daemons whose parents are gone (QEMU is one)
// would stay as zombies, and libvirt takes a zombie for a guest that refuses to die.
func reapUntil(pid int) (int, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("reap: %w", err)
		case got == pid:
			return statusOf(status), nil
		}
	}
}

func setUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// A sysfs shows the network namespace it was mounted in; with the old one libvirt would see the machine's interfaces.
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	for _, dir := range covered {
		err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a machine without libvirt has nothing to cover
			return fmt.Errorf("mount over %s: %w", dir, err)
		}
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return setUpNetwork()
}
