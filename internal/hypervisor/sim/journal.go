package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// journal keeps the domains in a file of one JSON object per line, the last of a
// name counting. It is not synced: it must outlive the process, not the machine,
// as the domains of a real host do.
type journal struct {
	path  string
	file  *os.File // nil after close; the next write opens it again
	lines int
}

// entry is one line: a running domain, one that was saved, or one that is gone.
type entry struct {
	record
	SavedTo string `json:"saved_to,omitempty"`
	Gone    bool   `json:"gone,omitempty"`
}

// maxLine bounds a line of the journal, maxJournal the whole.
const (
	maxLine    = 64 << 10
	maxJournal = 256 << 20
)

// openJournal reads a journal, if there is one, and writes it anew without what
// no longer counts.
func openJournal(path string) (*journal, []entry, error) {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, nil, err
	}
	entries, err := parseJournal(data)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{path: path}
	return j, entries, j.rewrite(entries)
}

// parseJournal returns the entries that count, in the order their domains came
// first. A last line without its end was cut by a crash and is dropped.
func parseJournal(data []byte) ([]entry, error) {
	if len(data) > maxJournal {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", len(data), maxJournal)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	var (
		all   []entry
		index = make(map[string]int)
		lines = bufio.NewScanner(bytes.NewReader(data))
	)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Name == "" {
			return nil, fmt.Errorf("line %d: name is missing", n)
		}
		if i, ok := index[e.Name]; ok {
			all[i] = e
		} else {
			index[e.Name] = len(all)
			all = append(all, e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	live := all[:0]
	for _, e := range all {
		if !e.Gone {
			live = append(live, e)
		}
	}
	return live, nil
}

// rewrite replaces the file by just these entries.
func (j *journal) rewrite(entries []entry) error {
	if err := j.close(); err != nil {
		return err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	tmp := j.path + ".new"
	if err := os.WriteFile(tmp, buf.Bytes(), 0o600); err != nil {
		return err
	}
	j.lines = len(entries)
	return os.Rename(tmp, j.path)
}

// put appends an entry; live is the number of domains, by which the journal
// knows when most of it is history.
func (j *journal) put(e entry, live int) error {
	if j == nil {
		return nil
	}
	if j.lines > 1000+4*live {
		if err := j.compact(); err != nil {
			return fmt.Errorf("sim: compact journal: %w", err)
		}
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("sim: journal: %w", err)
	}
	if j.file == nil {
		if j.file, err = os.OpenFile(j.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("sim: journal: %w", err)
		}
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		j.lines = math.MaxInt // half a line may be there: start from a clean file next time
		return fmt.Errorf("sim: journal: %w", err)
	}
	j.lines++
	return nil
}

// drop notes that a domain is gone.
func (j *journal) drop(name string, live int) error {
	return j.put(entry{record: record{Name: name}, Gone: true}, live)
}

func (j *journal) compact() error {
	data, err := os.ReadFile(j.path)
	if err != nil {
		return err
	}
	entries, err := parseJournal(data)
	if err != nil {
		return err
	}
	return j.rewrite(entries)
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
