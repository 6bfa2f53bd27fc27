package domainxml

import (
	"fmt"
	"strconv"
	"strings"

	xml "libvirt.org/go/libvirtxml"
)

// Longest passwords of the protocols.
const (
	maxVNCPassword   = 8
	maxSpicePassword = 59
)

// graphics is GRAPHICS.
func (b *builder) graphics() error {
	v := b.t.Vector("GRAPHICS")
	if v == nil {
		return nil
	}
	port, err := whole("GRAPHICS/PORT", v.Get("PORT"), 0, 1, 65535)
	if err != nil && v.Get("PORT") != "-1" {
		return err
	}
	auto := ""
	if port == 0 {
		auto = "yes"
	}
	listen, keymap, password := v.Get("LISTEN"), v.Get("KEYMAP"), v.Get("PASSWD")
	var g xml.DomainGraphic
	switch typ := strings.ToLower(v.Get("TYPE")); typ {
	case "vnc":
		g.VNC = &xml.DomainGraphicVNC{Port: int(port), AutoPort: auto, Listen: listen, Keymap: keymap, Passwd: cut(password, maxVNCPassword)}
	case "spice":
		g.Spice = &xml.DomainGraphicSpice{Port: int(port), AutoPort: auto, Listen: listen, Keymap: keymap, Passwd: cut(password, maxSpicePassword)}
		b.spice()
	case "sdl":
		g.SDL = &xml.DomainGraphicSDL{}
	default:
		return oneOf("GRAPHICS/TYPE", typ, "vnc", "spice", "sdl")
	}
	b.devices.Graphics = append(b.devices.Graphics, g)
	return nil
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// spice adds what the reference's driver adds by default: a display, sound, the
// agent's channel and three redirected USB ports.
func (b *builder) spice() {
	if b.t.Vector("VIDEO") == nil {
		b.devices.Videos = append(b.devices.Videos, xml.DomainVideo{Model: xml.DomainVideoModel{Type: "qxl", Heads: 1}})
	}
	b.devices.Sounds = append(b.devices.Sounds, xml.DomainSound{Model: "ich6"})
	agent := &xml.DomainChardevSource{SpiceVMC: &xml.DomainChardevSourceSpiceVMC{}}
	b.devices.Channels = append(b.devices.Channels, xml.DomainChannel{
		Source: agent, Target: &xml.DomainChannelTarget{VirtIO: &xml.DomainChannelTargetVirtIO{Name: "com.redhat.spice.0"}},
	})
	for range 3 {
		b.devices.RedirDevs = append(b.devices.RedirDevs, xml.DomainRedirDev{Bus: "usb", Source: agent})
	}
}

// video is VIDEO.
func (b *builder) video() error {
	v := b.t.Vector("VIDEO")
	if v == nil {
		return nil
	}
	typ := strings.ToLower(v.Get("TYPE"))
	if err := oneOf("VIDEO/TYPE", typ, "none", "vga", "cirrus", "virtio"); err != nil {
		return err
	}
	vram, err := whole("VIDEO/VRAM", v.Get("VRAM"), 0, 1024, 1<<31)
	if err != nil {
		return err
	}
	video := xml.DomainVideo{Model: xml.DomainVideoModel{Type: typ, VRam: uint(vram)}}
	if size := v.Get("RESOLUTION"); size != "" {
		width, height, ok := strings.Cut(size, "x")
		x, errX := strconv.ParseUint(width, 10, 16)
		y, errY := strconv.ParseUint(height, 10, 16)
		if !ok || errX != nil || errY != nil {
			return fmt.Errorf("VIDEO/RESOLUTION %q: expected width and height as 1024x768", size)
		}
		video.Model.Resolution = &xml.DomainVideoResolution{X: uint(x), Y: uint(y)}
	}
	if typ == "virtio" && (v.Has("IOMMU") || v.Has("ATS")) {
		video.Driver = &xml.DomainVideoDriver{IOMMU: onOff(v.Bool("IOMMU")), ATS: onOff(v.Bool("ATS"))}
	}
	b.devices.Videos = append(b.devices.Videos, video)
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// inputs is the INPUTs.
func (b *builder) inputs() error {
	for _, v := range b.t.Vectors("INPUT") {
		in := xml.DomainInput{Type: strings.ToLower(v.Get("TYPE")), Bus: strings.ToLower(v.Get("BUS"))}
		if err := oneOf("INPUT/TYPE", in.Type, "mouse", "tablet", "keyboard"); err != nil {
			return err
		}
		if in.Bus != "" {
			if err := oneOf("INPUT/BUS", in.Bus, "usb", "ps2", "xen", "virtio"); err != nil {
				return err
			}
		}
		b.devices.Inputs = append(b.devices.Inputs, in)
	}
	return nil
}

// ConsoleLog is the file in a VM's directory that has what its guest writes to
// the serial console, since its start.
const ConsoleLog = "console.log"

// always is what every domain has: a source of randomness, without which small
// guests wait long at boot, and a serial console that is kept in a file.
func (b *builder) always() error {
	b.devices.RNGs = append(b.devices.RNGs, xml.DomainRNG{
		Model: "virtio", Backend: &xml.DomainRNGBackend{Random: &xml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
	})
	b.devices.Serials = append(b.devices.Serials, xml.DomainSerial{
		Source: &xml.DomainChardevSource{File: &xml.DomainChardevSourceFile{Path: b.path(ConsoleLog)}},
		Target: &xml.DomainSerialTarget{Port: new(uint(0))},
	})
	return nil
}
