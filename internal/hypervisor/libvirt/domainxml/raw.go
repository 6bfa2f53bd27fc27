package domainxml

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	libvirtxml "libvirt.org/go/libvirtxml"
)

// Limits of what is passed through.
const (
	maxRaw      = 64 << 10
	maxRawDepth = 32
)

// rawData is RAW: elements that are put into the domain as they are; those inside
// a <devices> go to the other devices, because the schema knows but one.
func (b *builder) rawData() error {
	for _, v := range b.t.Vectors("RAW") {
		if typ := strings.ToLower(v.Get("TYPE")); typ != KVM && typ != QEMU {
			continue // for another hypervisor
		}
		devices, rest, err := splitRaw(v.Get("DATA"))
		if err != nil {
			return fmt.Errorf("RAW/DATA: %w", err)
		}
		b.rawDevices += devices
		b.raw += rest
		if n := len(b.rawDevices) + len(b.raw); n > maxRaw {
			return fmt.Errorf("RAW/DATA: %d bytes together, the limit is %d", n, maxRaw)
		}
	}
	return nil
}

// splitRaw makes sure that data is whole elements and nothing else, so that it
// cannot end the element it is put into, and returns what is inside of those
// called <devices> and all else.
func splitRaw(data string) (devices, rest string, err error) {
	if len(data) > maxRaw {
		return "", "", fmt.Errorf("%d bytes, the limit is %d", len(data), maxRaw)
	}
	dec := xml.NewDecoder(strings.NewReader(data))
	depth, done := 0, int64(0)
	inDevices := false
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return devices, rest + data[done:], nil
		}
		if err != nil {
			return "", "", fmt.Errorf("expected XML elements: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxRawDepth {
				return "", "", fmt.Errorf("elements are nested more than %d deep", maxRawDepth)
			}
			if depth == 1 && t.Name == (xml.Name{Local: "devices"}) {
				inDevices = true
				rest += data[done:before]
				done = dec.InputOffset()
			}
		case xml.EndElement:
			if depth--; depth == 0 && inDevices {
				inDevices = false
				devices += data[done:before]
				done = dec.InputOffset()
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(t)); depth == 0 && text != "" {
				return "", "", fmt.Errorf("expected XML elements, found the text %.40q between them", text)
			}
		case xml.Directive, xml.ProcInst:
			return "", "", errors.New("expected XML elements, found a declaration or an instruction")
		}
	}
}

// oneSpace is the namespace of the metadata the reference's tools look for.
const oneSpace = "http://opennebula.org/xmlns/libvirt/1.0"

// metadata says in the domain whose it is.
func (b *builder) metadata() error {
	var out strings.Builder
	fmt.Fprintf(&out, `<one:vm xmlns:one="%s">`, oneSpace)
	for _, f := range []struct{ name, value string }{
		{"system_datastore", b.Dir}, {"name", b.m.Title}, {"uname", b.m.UName}, {"uid", fmt.Sprint(b.m.UID)},
		{"gname", b.m.GName}, {"gid", fmt.Sprint(b.m.GID)}, {"opennebula_version", b.Version},
		{"stime", fmt.Sprint(b.m.STime)}, {"deployment_time", fmt.Sprint(b.DeploymentTime)},
	} {
		fmt.Fprintf(&out, "<one:%s>", f.name)
		if err := xml.EscapeText(&out, []byte(f.value)); err != nil {
			return fmt.Errorf("write metadata: %w", err)
		}
		fmt.Fprintf(&out, "</one:%s>", f.name)
	}
	out.WriteString("</one:vm>")
	b.domain.Metadata = &libvirtxml.DomainMetadata{XML: out.String()}
	return nil
}
