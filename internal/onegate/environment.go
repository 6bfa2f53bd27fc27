package onegate

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// envFile is where guests keep the context for programs. Source: OneGate
// reference §4, "the wrapper".
const envFile = "var/run/one-context/one_env"

// contextPlaces are directories, below the root, where a context disk is
// mounted by hand, by a desktop, by the context scripts or by LXC.
var contextPlaces = [...]string{
	"context", "mnt", "media", "mnt/*", "media/*", "media/*/*", "run/media/*/*",
	"run/context", "run/one-context", "run/one-context/mount.*", "var/run/one-context/mount.*",
}

// Bounds of what is read from the file system.
const (
	maxFile   = 1 << 20
	maxPlaces = 64
)

// environment returns how to look up a variable. What one_env holds comes first,
// as with the reference's wrapper, which sources it. Without that file the
// process's environment counts, and a mounted context disk supplies what is
// missing there.
func (a *app) environment() func(name string) string {
	vars := map[string]string{}
	if b, err := readFile(filepath.Join(a.root, envFile)); err == nil {
		vars = shellVariables(string(b))
	} else {
		for _, name := range []string{"ONEGATE_ENDPOINT", "VMID", "TOKENTXT"} {
			if _, ok := a.env(name); !ok {
				vars = a.mountedContext()
				break
			}
		}
		for name := range vars {
			if _, ok := a.env(name); ok {
				delete(vars, name)
			}
		}
	}
	return func(name string) string {
		if v, ok := vars[name]; ok {
			return v
		}
		v, _ := a.env(name)
		return v
	}
}

// mountedContext reads the first context.sh found, and the token beside it. A
// token in the variable ONEGATE_TOKEN goes before token.txt.
func (a *app) mountedContext() map[string]string {
	for _, dir := range a.contextDirs() {
		b, err := readFile(filepath.Join(dir, "context.sh"))
		if err != nil {
			continue
		}
		vars := shellVariables(string(b))
		if t := vars["ONEGATE_TOKEN"]; t != "" {
			vars["TOKENTXT"] = t
		} else if b, err := readFile(filepath.Join(dir, "token.txt")); err == nil {
			vars["TOKENTXT"] = strings.TrimSpace(string(b))
		}
		return vars
	}
	return nil
}

// contextDirs lists the mounted CDs, then the usual places.
func (a *app) contextDirs() []string {
	var dirs []string
	if b, err := readFile(filepath.Join(a.root, "proc/mounts")); err == nil {
		for _, m := range parseMounts(string(b)) {
			if m.kind == "iso9660" {
				dirs = append(dirs, filepath.Join(a.root, m.dir))
			}
		}
	}
	for _, place := range contextPlaces {
		dirs = append(dirs, expand(a.root, strings.Split(place, "/"))...)
	}
	return dirs[:min(len(dirs), maxPlaces)]
}

// expand returns the directories that a pattern names below dir: a * at the end of
// an element stands for any rest of a name.
func expand(dir string, pattern []string) []string {
	if len(pattern) == 0 {
		return []string{dir}
	}
	prefix, wild := strings.CutSuffix(pattern[0], "*")
	if !wild {
		return expand(filepath.Join(dir, prefix), pattern[1:])
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // not there, or not ours to see
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && len(out) < maxPlaces {
			out = append(out, expand(filepath.Join(dir, e.Name()), pattern[1:])...)
		}
	}
	return out
}

// readFile reads a file of moderate size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// mount is one line of /proc/mounts.
type mount struct{ device, dir, kind string }

// parseMounts reads /proc/mounts, where blanks in names are written \040.
func parseMounts(s string) []mount {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []mount
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) >= 3 {
			out = append(out, mount{plain.Replace(f[0]), plain.Replace(f[1]), f[2]})
		}
	}
	return out
}

// shellVariables reads the assignments of a shell script as far as one_env and
// context.sh have them: NAME=value or export NAME=value at the start of a line,
// the value in single or double quotes or bare, over several lines if quoted.
// Nothing is expanded and nothing is run. The last assignment of a name counts;
// what is not an assignment is skipped.
func shellVariables(s string) map[string]string {
	vars := map[string]string{}
	for s != "" {
		s = strings.TrimLeft(s, " \t\r\n;")
		rest, _ := strings.CutPrefix(s, "export ")
		rest = strings.TrimLeft(rest, " \t")
		n := 0
		for n < len(rest) && isName(rest[n], n == 0) {
			n++
		}
		if n > 0 && n < len(rest) && rest[n] == '=' {
			if v, after, ok := shellWord(rest[n+1:]); ok {
				vars[rest[:n]] = v
				s = after
				continue
			}
		}
		_, s, _ = strings.Cut(s, "\n")
	}
	return vars
}

func isName(c byte, first bool) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || !first && c >= '0' && c <= '9'
}

// shellWord reads one word of a shell: quoted and bare stretches, joined. It
// returns the rest behind it; ok is false if a quote does not end.
func shellWord(s string) (word, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n', ';':
			return b.String(), s[i:], true
		case '\'':
			n := strings.IndexByte(s[i+1:], '\'')
			if n < 0 {
				return "", "", false
			}
			b.WriteString(s[i+1 : i+1+n])
			i += n + 2
		case '"':
			n, ok := doubleQuoted(s[i+1:], &b)
			if !ok {
				return "", "", false
			}
			i += n + 2
		case '\\':
			if i+1 < len(s) && s[i+1] != '\n' {
				b.WriteByte(s[i+1])
			}
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), "", true
}

// doubleQuoted writes what stands before the closing quote, and returns where
// that is.
func doubleQuoted(s string, b *strings.Builder) (int, bool) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i, true
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`\n", s[i+1]) >= 0:
			i++
			if s[i] != '\n' {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return 0, false
}
