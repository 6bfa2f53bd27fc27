// Package client speaks to the faces of the server the way OpenNebula clients
// do: XML-RPC for the core and REST for OneFlow.
//
// Source: XML-RPC reference §11, OneFlow reference §1 and §7.1.
package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of what no option, variable or file says.
const (
	DefaultEndpoint = "http://localhost:2633/RPC2"
	DefaultFlowURL  = "http://localhost:2474"
	DefaultPageSize = 200
	DefaultTimeout  = 60 * time.Second
)

// ErrNoCredentials says that no file with credentials was found. The text is the
// original's.
var ErrNoCredentials = errors.New("ONE_AUTH file not present")

// Env is where settings come from.
type Env struct {
	// Getenv reads an environment variable.
	Getenv func(string) string
	// DataDir is Trifid's usual data directory, for when nothing else says; "" is none.
	DataDir string
	// VarDir is where a system-wide OpenNebula keeps its state; "" is /var/lib/one.
	VarDir string
}

// Options are settings given on the command line; they win over everything.
type Options struct {
	Endpoint string // of the service asked: core or flow
	User     string
	Password string
}

// Config says where a client connects and as whom.
type Config struct {
	Endpoint string
	// Session is "user:secret", with a secret that is a password or a token.
	Session string
	// Timeout bounds one call.
	Timeout time.Duration
	// PageSize is the number of objects asked for at once, 0 for all.
	PageSize int
	// CertDir holds more certificate authorities, as PEM files.
	CertDir string
	// SkipVerify turns the check of the server's certificate off.
	SkipVerify bool
	// AuthFile is where Session came from, "" for options.
	AuthFile string
}

// Core resolves the settings of the core's XML-RPC.
//
// Endpoint: option, ONE_XMLRPC, the data directory TRIFID_DATA names,
// ~/.one/one_endpoint, /var/lib/one/.one/one_endpoint, the usual data directory,
// the default. Credentials: options, the file ONE_AUTH names, the data directory
// TRIFID_DATA names, ~/.one/one_auth, /var/lib/one/.one/one_auth, the usual data
// directory. Who names a directory means its server, whatever files lie at home.
func (e Env) Core(o Options) (Config, error) {
	c, err := e.common(o)
	if err != nil {
		return Config{}, err
	}
	c.Endpoint = first(o.Endpoint, e.Getenv("ONE_XMLRPC"), e.named().Core, e.oneFile("one_endpoint"), published(e.DataDir).Core, DefaultEndpoint)
	if c.Session, c.AuthFile, err = e.session(o); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Flow resolves the settings of OneFlow: option, ONEFLOW_URL, then as for the core,
// with files called oneflow_endpoint; credentials from options, ONEFLOW_USER and
// ONEFLOW_PASSWORD, then as for the core.
func (e Env) Flow(o Options) (Config, error) {
	c, err := e.common(o)
	if err != nil {
		return Config{}, err
	}
	c.Endpoint = first(o.Endpoint, e.Getenv("ONEFLOW_URL"), e.named().Flow, e.oneFile("oneflow_endpoint"), published(e.DataDir).Flow, DefaultFlowURL)
	o.User = first(o.User, e.Getenv("ONEFLOW_USER"))
	o.Password = first(o.Password, e.Getenv("ONEFLOW_PASSWORD"))
	if o.User == "" || o.Password == "" {
		session, file, err := e.session(Options{})
		if err != nil {
			return Config{}, err
		}
		user, password, _ := strings.Cut(session, ":")
		o.User, o.Password, c.AuthFile = first(o.User, user), first(o.Password, password), file
	}
	c.Session = o.User + ":" + o.Password
	return c, nil
}

func (e Env) common(o Options) (Config, error) {
	c := Config{Timeout: DefaultTimeout, PageSize: DefaultPageSize, CertDir: e.Getenv("ONE_CERT_DIR")}
	c.SkipVerify = e.Getenv("ONE_DISABLE_SSL_VERIFY") != ""
	if s := e.Getenv("ONE_XMLRPC_TIMEOUT"); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n > 0 && n < 1e6) {
			return c, fmt.Errorf("ONE_XMLRPC_TIMEOUT: %q is not a number of seconds above 0", s)
		}
		c.Timeout = time.Duration(n * float64(time.Second))
	}
	if s := e.Getenv("ONE_POOL_PAGE_SIZE"); s != "" {
		// Whatever is no number turns paging off, and so does 1: the protocol
		// cannot ask for pages of one. Source: XML-RPC reference §4.2, §11.
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 {
			n = 0
		}
		c.PageSize = n
	}
	return c, nil
}

// session returns "user:secret" and the file it came from.
func (e Env) session(o Options) (session, file string, err error) {
	if o.User != "" {
		return o.User + ":" + o.Password, "", nil
	}
	named := authIn(e.Getenv("TRIFID_DATA"))
	for _, path := range e.authFiles() {
		text, err := readLine(path)
		// The data directory may be named for its addresses, by who may not read more.
		if errors.Is(err, fs.ErrNotExist) || path == named && errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return "", "", fmt.Errorf("read credentials: %w", err)
		}
		if !strings.Contains(text, ":") {
			return "", "", fmt.Errorf("%s: expected one line user:password", path)
		}
		return text, path, nil
	}
	return "", "", ErrNoCredentials
}

func (e Env) authFiles() []string {
	all := append([]string{e.Getenv("ONE_AUTH"), authIn(e.Getenv("TRIFID_DATA"))}, e.onePaths("one_auth")...)
	all = append(all, authIn(e.DataDir))
	return slices.DeleteFunc(all, func(path string) bool { return path == "" })
}

// authIn is where a data directory has the credentials of oneadmin, "" if it is "".
func authIn(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	return filepath.Join(dataDir, "auth", "one_auth")
}

// AuthFile is the file a login writes: the one ONE_AUTH names, else
// ~/.one/one_auth.
func (e Env) AuthFile() string {
	return first(e.Getenv("ONE_AUTH"), filepath.Join(e.Getenv("HOME"), ".one", "one_auth"))
}

// OneDir is the user's directory of OpenNebula files, ~/.one.
func (e Env) OneDir() string { return filepath.Join(e.Getenv("HOME"), ".one") }

// onePaths are the places of a file of the user or else of the system.
func (e Env) onePaths(name string) []string {
	var out []string
	if e.Getenv("HOME") != "" {
		out = append(out, filepath.Join(e.OneDir(), name))
	}
	return append(out, filepath.Join(first(e.VarDir, "/var/lib/one"), ".one", name))
}

func (e Env) oneFile(name string) string {
	for _, path := range e.onePaths(name) {
		if text, err := readLine(path); err == nil && text != "" {
			return text
		}
	}
	return ""
}

// endpoints is the file a running Trifid publishes its addresses in.
type endpoints struct {
	Core string `json:"core"`
	Flow string `json:"flow"`
	Gate string `json:"gate"`
}

// named is what is published in the data directory that TRIFID_DATA names.
func (e Env) named() endpoints { return published(e.Getenv("TRIFID_DATA")) }

// published reads the addresses of the server on a data directory; nothing when
// there is none, since the defaults may still be right.
func published(dataDir string) (p endpoints) {
	if dataDir != "" {
		if text, err := readSmall(filepath.Join(dataDir, "run", "endpoints.json")); err == nil {
			_ = json.Unmarshal(text, &p)
		}
	}
	return p
}

const maxSettingSize = 64 << 10

// readSmall reads a settings file, which must be a regular one: a directory or a
// device named by mistake counts as absent, as the original has it.
func readSmall(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	if st.Size() > maxSettingSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxSettingSize)
	}
	return os.ReadFile(path)
}

func readLine(path string) (string, error) {
	text, err := readSmall(path)
	return strings.TrimSpace(string(text)), err
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
