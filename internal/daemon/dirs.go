package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/trifid-cloud/trifid/internal/cloud"
)

// dataDir is the directory that holds everything of a server:
//
//	store/        the state (0700)
//	auth/         credentials and keys (0700, files 0600)
//	agent/ sim/   what the agent and simulated hosts keep (0700)
//	log/vms/      a log per VM
//	datastores/   images and disks (0711, so that QEMU's user may pass)
//	run/          endpoints.json, the control socket and the lock
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir opens the directory for a server or an agent.
func openDataDir(path string) (*dataDir, error) {
	d, err := makeDataDir(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(d.join(restoring)); err == nil {
		return nil, errors.Join(fmt.Errorf("the data directory %s: %w", path, errHalf), d.close())
	}
	// One that was killed has left it behind.
	if err := d.removeEndpoints(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// makeDataDir makes the directory where it is missing and locks it: two servers
// on one directory would destroy it.
func makeDataDir(path string) (*dataDir, error) {
	d := &dataDir{path: path}
	for _, sub := range []struct {
		name string
		mode fs.FileMode
	}{{"", 0o711}, {"store", 0o700}, {"auth", 0o700}, {"agent", 0o700}, {"sim", 0o700}, {"log", 0o700}, {"log/vms", 0o700}, {"datastores", 0o711}, {"run", 0o711}} {
		if err := os.MkdirAll(d.join(sub.name), sub.mode); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	f, err := os.OpenFile(d.join("run/lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data directory %s: %w", path, err), f.Close())
	}
	d.lock = f
	return d, nil
}

// lock takes the lock and writes into its file who holds it.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("it is in use by %s: stop that first, or give another --data", holder(f))
	}
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	return err
}

// holder names who holds the lock.
func holder(f *os.File) string {
	text := make([]byte, 32)
	n, _ := f.Read(text) // it may not have written it yet
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err == nil {
		return fmt.Sprintf("another trifid, process %d", pid)
	}
	return "another trifid"
}

func (d *dataDir) join(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) close() error { return d.lock.Close() }

// credentials are the secrets a server needs; they are made on the first start.
type credentials struct {
	oneadmin, serveradmin, key string
}

// loadCredentials reads the credentials, making those that are missing.
func (d *dataDir) loadCredentials() (credentials, error) {
	var c credentials
	var err error
	if c.oneadmin, err = d.secret("one_auth", "oneadmin"); err != nil {
		return c, err
	}
	if c.serveradmin, err = d.secret("serveradmin_auth", "serveradmin"); err != nil {
		return c, err
	}
	// Other services of the original look for these names.
	for _, name := range []string{"sunstone_auth", "onegate_auth", "oneflow_auth"} {
		if err := writeMissing(d.join("auth/"+name), "serveradmin:"+c.serveradmin+"\n"); err != nil {
			return c, err
		}
	}
	c.key, err = d.secret("one_key", "")
	return c, err
}

// secret reads the secret of a file "user:secret" (or of a bare secret), and
// makes it when the file is missing.
func (d *dataDir) secret(name, user string) (string, error) {
	path := d.join("auth/" + name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		random, err := cloud.RandomHex(32)
		if err != nil {
			return "", err
		}
		text := random
		if user != "" {
			text = user + ":" + random
		}
		if err := writeMissing(path, text+"\n"); err != nil {
			return "", err
		}
		return random, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the credentials: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if user == "" {
		return text, nil
	}
	got, secret, ok := strings.Cut(text, ":")
	if !ok || got != user || secret == "" {
		return "", fmt.Errorf("credentials file %s: expected one line %s:<secret>", path, user)
	}
	return secret, nil
}

// writeMissing writes a file with mode 0600 unless it exists.
func writeMissing(path, text string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return writeFile(path, []byte(text), 0o600)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Endpoints is where a running server answers; it stands in run/endpoints.json.
type Endpoints struct {
	Core string `json:"core"`
	Flow string `json:"flow"`
	Gate string `json:"gate"`
	// Agents is where agents of other hosts connect, "" when none may.
	Agents string `json:"agents,omitempty"`
	// Metrics is where Prometheus finds its numbers, "" when nowhere.
	Metrics string `json:"metrics,omitempty"`
}

func (d *dataDir) writeEndpoints(e Endpoints) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("write the endpoints: %w", err)
	}
	return writeFile(d.join("run/endpoints.json"), append(b, '\n'), 0o644)
}

func (d *dataDir) removeEndpoints() error {
	if err := os.Remove(d.join("run/endpoints.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the endpoints: %w", err)
	}
	return nil
}
