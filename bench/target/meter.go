package target

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Meter measures what a stretch of time cost: the process that is measured, the
// measuring one, and all others, who make the figures worse.
type Meter struct {
	of     *Process
	began  time.Time
	before spent
}

// Spent is what a stretch of time cost, in cores that were busy all the time.
type Spent struct {
	Target  float64       // the process that is measured
	Client  float64       // the measuring process
	Others  float64       // everything else on the machine, its host included
	CPU     time.Duration // of the process that is measured
	Elapsed time.Duration
}

type spent struct{ target, client, all time.Duration }

// NewMeter begins to measure.
func NewMeter(of *Process) (*Meter, error) {
	m := &Meter{of: of, began: time.Now()}
	var err error
	m.before, err = m.read()
	return m, err
}

// Read returns what was spent since the meter was made.
func (m *Meter) Read() (Spent, error) {
	now, err := m.read()
	if err != nil {
		return Spent{}, err
	}
	s := Spent{Elapsed: time.Since(m.began), CPU: now.target - m.before.target}
	share := func(d time.Duration) float64 { return max(0, d.Seconds()/s.Elapsed.Seconds()) }
	s.Target, s.Client = share(s.CPU), share(now.client-m.before.client)
	s.Others = share((now.all - m.before.all) - (now.target - m.before.target) - (now.client - m.before.client))
	return s, nil
}

func (m *Meter) read() (s spent, err error) {
	t, err := m.of.Usage()
	if err != nil {
		return s, err
	}
	c, err := SelfUsage()
	if err != nil {
		return s, err
	}
	s.target, s.client = t.CPU, c.CPU
	s.all, err = machineBusy()
	return s, err
}

// machineBusy returns the time that all processors have not been idle: user, nice,
// system, irq, softirq, and what the machine's host took away (steal).
func machineBusy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read what the machine does: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("read what the machine does: %q", line)
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read what the machine does: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}

// Machine describes the machine that everything runs on.
func Machine() string {
	model, memory := "unknown processor", "?"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				memory = strconv.FormatInt(kb>>20, 10)
			}
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("?")
	}
	return fmt.Sprintf("%s, %d processors, %s GB, Linux %s", model, processors(), memory, strings.TrimSpace(string(kernel)))
}

func processors() int {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return 0
	}
	return strings.Count("\n"+string(b), "\nprocessor")
}
