package libvirt

import "testing"

// A snapshot of before the VM was undeployed goes to the port that the VM has now.
func TestSnapshotAtPort(t *testing.T) {
	const doc = "<domain><devices>\n<graphics type='vnc' port='5907' autoport='no' listen='0.0.0.0'>\n<serial><target port='0'/></serial></devices></domain>"
	for port, want := range map[string]string{
		"5912": "<domain><devices>\n<graphics type='vnc' port='5912' autoport='no' listen='0.0.0.0'>\n<serial><target port='0'/></serial></devices></domain>",
		"":     doc,
		"-1":   doc,
		"x":    doc,
	} {
		if got := atPort(doc, port); got != want {
			t.Errorf("at %q: %s", port, got)
		}
	}
}
