package guestimage

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// modules are the kernel modules a guest loads, in this order: each after those it depends on, because an unpacked
// kernel package has no modules.dep. They cover what our domains have: virtio disk, NIC and random source, virtio-scsi,
// a CD on IDE, the power button. ext4 and the clock are built in.
var modules = []string{
	"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
	"virtio_blk",
	"failover", "net_failover", "virtio_net",
	"scsi_common", "scsi_mod", "virtio_scsi", "sd_mod",
	"cdrom", "sr_mod", "libata", "ata_piix", "isofs",
	"button", "evdev",
	"virtio_rng",
}

// kernel is an unpacked kernel package.
type kernel struct {
	image   string   // path of vmlinuz
	modules []module // in the order to load
}

type module struct {
	name string
	path string
}

// findKernel finds the kernel image and the modules to load in an unpacked kernel package and checks that their order
// satisfies every dependency.
func findKernel(root string, order []string) (kernel, error) {
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return kernel{}, err
	}
	if len(images) != 1 {
		return kernel{}, fmt.Errorf("find a guest kernel: %d images in %s, want 1: run `make deps`", len(images), root)
	}
	paths := make(map[string]string)
	err = filepath.WalkDir(filepath.Join(root, "lib", "modules"), func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			paths[canonical(name)] = path
		}
		return err
	})
	if err != nil {
		return kernel{}, fmt.Errorf("find the modules of the guest kernel: %w", err)
	}
	k := kernel{image: images[0]}
	for i, name := range order {
		path, ok := paths[name]
		if !ok {
			return kernel{}, fmt.Errorf("the kernel in %s has no module %s", root, name)
		}
		needs, err := dependencies(path)
		if err != nil {
			return kernel{}, err
		}
		for _, need := range needs {
			if !slices.Contains(order[:i], need) {
				return kernel{}, fmt.Errorf("kernel module %s needs %s, which is not loaded before it", name, need)
			}
		}
		k.modules = append(k.modules, module{name, path})
	}
	return k, nil
}

// canonical is the name the kernel itself uses: file names may have dashes.
func canonical(module string) string { return strings.ReplaceAll(module, "-", "_") }

// dependencies reads the names of the modules that the one at path needs: the "depends=" entry of its section .modinfo, a
// list of NUL-ended strings.
func dependencies(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("kernel module %s: no section .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", path, err)
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(canonical(list), ","), nil
		}
	}
	return nil, nil
}

// staticBusybox returns the content of the machine's BusyBox, which must not need libraries.
func staticBusybox() ([]byte, error) {
	const path = "/bin/busybox"
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("busybox: %w: run `make deps`", err)
	}
	defer file.Close()
	for _, prog := range file.Progs {
		if prog.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s is not the static one: run `make deps`", path)
		}
	}
	return os.ReadFile(path)
}
