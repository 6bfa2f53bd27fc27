package render

import (
	"fmt"

	"github.com/trifid-cloud/trifid/internal/client/doc"
)

// Panel prints what "show" commands show: title bars, lines of key and value,
// tables.
type Panel struct {
	*Screen
	// KeyWidth is the width of the keys.
	KeyWidth int
}

// Title writes the bar above a panel, 80 wide.
func (p Panel) Title(format string, args ...any) {
	p.heading(fmt.Sprintf("%-80s", fmt.Sprintf(format, args...)), true)
}

// Section writes the bar above a part of a panel.
func (p Panel) Section(format string, args ...any) {
	p.heading(fmt.Sprintf("%-80s", fmt.Sprintf(format, args...)), false)
}

// Field writes one key and its value.
func (p Panel) Field(key, value string) {
	p.Printf("%-*s: %-20s\n", p.KeyWidth, key, value)
}

// FieldIf writes a key and its value unless the value is empty.
func (p Panel) FieldIf(key, value string) {
	if value != "" {
		p.Field(key, value)
	}
}

// Blank writes an empty line.
func (p Panel) Blank() { p.Println("") }

// Heading writes a line in bold, underlined if asked.
func (p Panel) Heading(text string, underline bool) { p.heading(text, underline) }

// Permissions writes the section of that name from a document's PERMISSIONS.
func (p Panel) Permissions(n *doc.Node) {
	p.Section("PERMISSIONS")
	for _, class := range []string{"OWNER", "GROUP", "OTHER"} {
		mask := []byte("---")
		for i, right := range "UMA" {
			if n.Get("PERMISSIONS/"+class+"_"+string(right)) == "1" {
				mask[i] = "uma"[i]
			}
		}
		p.Field(class, string(mask))
	}
}

// IDs writes a heading and one id per line under it.
func (p Panel) IDs(heading string, ids []string) {
	p.heading(fmt.Sprintf("%-15s", heading), true)
	for _, id := range ids {
		p.Printf("%-15s\n", id)
	}
}
