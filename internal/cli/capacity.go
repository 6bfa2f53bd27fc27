package cli

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// templateFlags describe a VM without a template file. The names are the
// original's, underscores and all.
func templateFlags(f *pflag.FlagSet) {
	capacityFlags(f)
	text(f, "arch", "", "architecture: x86_64, i686")
	text(f, "disk", "", "disks: images by name or id, separated by commas; user[image] for another's; image:size=1000:target=vda for attributes")
	text(f, "nic", "", "networks, as with --disk; auto lets the scheduler choose")
	text(f, "raw", "", "text to add to the template as it is")
	for _, g := range []string{"vnc", "spice"} {
		boolean(f, g, "", "add a "+g+" server")
		text(f, g+"-password", "", g+" password")
		text(f, g+"-listen", "", "address the "+g+" server listens on, 0.0.0.0 by default")
		text(f, g+"-keymap", "", g+" keyboard layout")
	}
	optionalText(f, "ssh", ownKey, "add an SSH public key to the context: that of a file, or else your own SSH_PUBLIC_KEY")
	boolean(f, "net_context", "", "add the network's parameters to the context")
	text(f, "context", "", "lines of the context, separated by commas")
	text(f, "boot", "", "boot devices: disk0,nic0")
	text(f, "files_ds", "", "files of the files datastore to add to the context, separated by commas")
	text(f, "init", "", "scripts the context starts, separated by commas")
	text(f, "startscript", "", "file with the script to run at the first boot")
	boolean(f, "report_ready", "", "let the guest report READY=YES when it has booted")
	text(f, "user-inputs", "", "values of user inputs: NAME=value, separated by commas")
	text(f, "video", "", "video device: none, vga, cirrus, virtio")
	boolean(f, "video-iommu", "", "IOMMU for the video device")
	boolean(f, "video-ats", "", "address translation services for the video device")
	text(f, "video-vram", "", "memory of the video device: 16m")
	text(f, "video-resolution", "", "resolution: 1280x720")
	text(f, "as_uid", "", "id of the user to create the VM for")
	text(f, "as_gid", "", "id of the group to create the VM for")
	text(f, "user_template", "", "attributes of the user template: NAME=value, separated by commas")
}

const ownKey = "$USER"

func capacityFlags(f *pflag.FlagSet) {
	text(f, "cpu", "", "CPU, in cores: 0.5")
	text(f, "vcpu", "", "number of virtual CPUs")
	text(f, "memory", "", "memory in MB, or with a unit: 512, 0.5g, 8gb")
}

// used returns those of the flags declared by a function that were given.
func (c *call) used(declare func(*pflag.FlagSet)) []string {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	declare(f)
	var out []string
	f.VisitAll(func(fl *pflag.Flag) {
		if c.has(fl.Name) {
			out = append(out, fl.Name)
		}
	})
	return out
}

// builder collects the lines of a template.
type builder struct {
	strings.Builder
	err error
}

func (b *builder) line(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }

// vmTemplate renders the flags of templateFlags as template text.
func (c *call) vmTemplate() (string, error) {
	var b builder
	c.attributes(&b, "name", "NAME")
	c.osPart(&b)
	c.capacityPart(&b)
	if s := c.str("raw"); s != "" {
		b.line("%s", s)
	}
	c.attributes(&b, "as_uid", "AS_UID", "as_gid", "AS_GID")
	c.devices(&b, "disk", "DISK", "IMAGE")
	c.devices(&b, "nic", "NIC", "NETWORK")
	for _, g := range []string{"vnc", "spice"} {
		c.graphics(&b, g)
	}
	c.video(&b)
	c.contextPart(&b)
	c.pairs(&b, "user-inputs")
	c.pairs(&b, "user_template")
	return b.String(), b.err
}

// attributes writes those of the flags that have a value: flag, attribute and so on.
func (c *call) attributes(b *builder, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if s := c.str(pairs[i]); s != "" {
			b.line("%s=%s", pairs[i+1], quoted(s))
		}
	}
}

func (c *call) osPart(b *builder) {
	var parts []string
	for _, flag := range []string{"arch", "boot"} {
		if s := c.str(flag); s != "" {
			parts = append(parts, strings.ToUpper(flag)+"="+quoted(s))
		}
	}
	if len(parts) > 0 {
		b.line("OS=[ %s ]", strings.Join(parts, ", "))
	}
}

// capacityPart writes CPU, VCPU and MEMORY.
func (c *call) capacityPart(b *builder) {
	if s := c.str("cpu"); s != "" {
		if v, err := strconv.ParseFloat(s, 64); err != nil || !(v > 0) {
			b.fail("cpu %q: expected a number above 0", s)
		}
		b.line("CPU=%s", quoted(s))
	}
	if s := c.str("vcpu"); s != "" {
		if v, err := strconv.Atoi(s); err != nil || v < 1 {
			b.fail("vcpu %q: expected a whole number above 0", s)
		}
		b.line("VCPU=%s", quoted(s))
	}
	if s := c.str("memory"); s != "" {
		mb, err := megabytes(s)
		if err != nil {
			b.fail("Memory value malformed")
		}
		b.line("MEMORY=%s", quoted(strconv.FormatInt(mb, 10)))
	}
}

func (b *builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// megabytes reads a size: a number of MB, or with the unit m, mb, g, gb, t or tb
// in any case. Fractions of a MB are cut off.
func megabytes(s string) (int64, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.TrimSuffix(s, "b")
	factor := 1.0
	for unit, f := range map[string]float64{"m": 1, "g": 1024, "t": 1024 * 1024} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			s, factor = n, f
			break
		}
	}
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, fmt.Errorf("Size value malformed")
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v*factor > math.MaxInt32*1024.0 {
		return 0, fmt.Errorf("Size value malformed")
	}
	return int64(v * factor), nil
}

// devices writes DISK or NIC vectors: object:key=value:key=value, with
// user[object] for an object of another user.
func (c *call) devices(b *builder, flag, section, key string) {
	for _, spec := range c.list(flag) {
		object, attrs := splitDevice(spec)
		user := ""
		if u, rest, ok := strings.Cut(object, "["); ok {
			user, object = u, strings.TrimSuffix(rest, "]")
		}
		if object == "" || strings.ContainsAny(object, "[]") {
			b.fail("%s \"%s\" malformed", section[:1]+strings.ToLower(section[1:]), spec)
			continue
		}
		var parts []string
		if strings.EqualFold(object, "auto") && section == "NIC" {
			parts = append(parts, `NETWORK_MODE="auto"`)
		} else {
			if user != "" {
				parts = append(parts, key+"_UNAME="+quoted(user))
			}
			if _, ok := digits(object); ok {
				parts = append(parts, key+"_ID="+quoted(object))
			} else {
				parts = append(parts, key+"="+quoted(object))
			}
		}
		b.line("%s=[ %s ]", section, strings.Join(append(parts, attrs...), ", "))
	}
}

// splitDevice cuts a specification at its colons. A piece without '=' belongs to
// the value before it, as in mac=02:00:…; quotes around a value are dropped.
func splitDevice(spec string) (object string, attrs []string) {
	pieces := strings.Split(spec, ":")
	var pairs []string
	for _, p := range pieces[1:] {
		if strings.Contains(p, "=") || len(pairs) == 0 {
			pairs = append(pairs, p)
		} else {
			pairs[len(pairs)-1] += ":" + p
		}
	}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		attrs = append(attrs, strings.ToUpper(k)+"="+quoted(strings.Trim(v, `"`)))
	}
	return pieces[0], attrs
}

func (c *call) graphics(b *builder, kind string) {
	if !c.flag(kind) {
		return
	}
	listen := c.str(kind + "-listen")
	if listen == "" {
		listen = "0.0.0.0"
	}
	parts := []string{"TYPE=" + quoted(kind), "LISTEN=" + quoted(listen)}
	if s := c.str(kind + "-password"); s != "" {
		parts = append(parts, "PASSWD="+quoted(s))
	}
	if s := c.str(kind + "-keymap"); s != "" {
		parts = append(parts, "KEYMAP="+quoted(s))
	}
	b.line("GRAPHICS=[ %s ]", strings.Join(parts, ", "))
}

func (c *call) video(b *builder) {
	kind := c.str("video")
	if kind == "" {
		return
	}
	parts := []string{"TYPE=" + quoted(kind)}
	for _, flag := range []string{"iommu", "ats"} {
		if c.flag("video-" + flag) {
			parts = append(parts, strings.ToUpper(flag)+`="YES"`)
		}
	}
	if s := c.str("video-vram"); s != "" {
		mb, err := megabytes(s)
		if err != nil {
			b.fail("VRAM value malformed")
		}
		parts = append(parts, "VRAM="+quoted(strconv.FormatInt(mb*1024, 10)))
	}
	if s := c.str("video-resolution"); s != "" {
		parts = append(parts, "RESOLUTION="+quoted(s))
	}
	b.line("VIDEO=[ %s ]", strings.Join(parts, ", "))
}

// contextPart writes CONTEXT from the flags about it.
func (c *call) contextPart(b *builder) {
	var parts []string
	if key := c.str("ssh"); key == ownKey {
		parts = append(parts, `SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]"`)
	} else if key != "" {
		text, err := c.readFile(key)
		if err != nil {
			b.fail("%v", err)
		}
		parts = append(parts, "SSH_PUBLIC_KEY="+quoted(strings.TrimSpace(text)))
	}
	if c.flag("net_context") {
		parts = append(parts, `NETWORK="YES"`)
	}
	for _, line := range c.list("context") {
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			b.fail("context %q: expected NAME=value", line)
		}
		parts = append(parts, strings.TrimSpace(k)+"="+quoted(strings.Trim(strings.TrimSpace(v), `"`)))
	}
	if files := c.list("files_ds"); len(files) > 0 {
		refs := make([]string, len(files))
		for i, f := range files {
			refs[i] = `$FILE[IMAGE="` + f + `"]`
		}
		parts = append(parts, "FILES_DS="+quoted(strings.Join(refs, " ")))
	}
	if scripts := c.list("init"); len(scripts) > 0 {
		parts = append(parts, "INIT_SCRIPTS="+quoted(strings.Join(scripts, " ")))
	}
	if path := c.str("startscript"); path != "" {
		text, err := c.readFile(path)
		if err != nil {
			b.fail("%v", err)
		}
		parts = append(parts, "START_SCRIPT_BASE64="+quoted(base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(text)))))
	}
	if c.flag("report_ready") {
		parts = append(parts, `REPORT_READY="YES"`, `TOKEN="YES"`)
	}
	if len(parts) > 0 {
		b.line("CONTEXT=[\n  %s ]", strings.Join(parts, ",\n  "))
	}
}

// pairs writes a flag's NAME=value pairs as attributes.
func (c *call) pairs(b *builder, flag string) {
	for _, pair := range c.list(flag) {
		k, v, ok := strings.Cut(pair, "=")
		if !ok || k == "" {
			b.fail("%s %q: expected NAME=value", flag, pair)
			continue
		}
		b.line("%s=%s", strings.TrimSpace(k), quoted(v))
	}
}

// asVector makes a vector of template text that is not one of that name yet.
func asVector(name, text string) string {
	packed := strings.ToUpper(strings.Join(strings.Fields(text), ""))
	if strings.HasPrefix(packed, name+"=[") || strings.HasPrefix(packed, "<") {
		return text
	}
	var lines []string
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimSpace(l)
		if l = strings.TrimSuffix(l, ","); l != "" && !strings.HasPrefix(l, "#") {
			lines = append(lines, l)
		}
	}
	return name + "=[\n  " + strings.Join(lines, ",\n  ") + " ]"
}

// textOf renders the children of an element as template text.
func textOf(n *doc.Node) string { return doc.TemplateText(n) }
