package render

import "fmt"

// Progress shows on a terminal how far a command over many objects has come. It
// writes to its own screen, the one of errors, and clears up after itself.
type Progress struct {
	s     *Screen
	label string
	total int
	done  int
}

// NewProgress returns the progress of total steps; one step shows none.
func NewProgress(s *Screen, label string, total int) *Progress {
	return &Progress{s: s, label: label, total: total}
}

const barWidth = 30

// Step counts one step as done.
func (p *Progress) Step() {
	p.done++
	if !p.visible() {
		return
	}
	bar := make([]byte, barWidth)
	for i := range bar {
		bar[i] = '-'
		if i < barWidth*p.done/p.total {
			bar[i] = '='
		}
	}
	p.s.raw(fmt.Sprintf("\r[%s] %d/%d %s", bar, p.done, p.total, p.label))
	if p.done == p.total {
		p.Clear()
	}
}

// Clear removes the bar, so that a message can be written in its place.
func (p *Progress) Clear() {
	if p.visible() {
		p.s.raw("\r\x1b[K")
	}
}

func (p *Progress) visible() bool { return p.s.Decorated && p.total > 1 }
