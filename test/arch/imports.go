package arch

import "fmt"

// importRule is a rule on what the files of the packages at or below a directory may import.
type importRule struct {
	from   string   // directory; "" is the whole tree
	except []string // directories below from to which it does not apply
	ban    []string // may not import these packages, nor any below them
	only   []string // if not nil: of what is not the standard library, may import only these and what is below from
	reason string
}

// importRules hold for everything but test code. Arrows point down: faces and commands at the top, the domain at the bottom
// (docs/architecture.md).
var importRules = []importRule{
	{
		from: "internal/tmpl", only: []string{},
		reason: "the template language is the bottom of the house, and the domain builds on it",
	},
	{
		from: "internal/one", only: []string{"internal/tmpl"},
		reason: "the domain is pure: state tables, rights and sums that can be tested as such, and imported from anywhere",
	},
	{
		from: "internal/cloud", ban: []string{"internal/server", "internal/cli", "internal/client"},
		reason: "the service layer is the only door; what stands before it translates and is not known inside",
	},
	{
		from: "internal/cloud", ban: []string{"internal/agent", "internal/hypervisor", "internal/disk", "internal/hostnet"},
		reason: "server and host may be different machines; they meet only in agentapi and one",
	},
	{
		from: "internal/agent", ban: []string{"internal/cloud", "internal/store", "internal/server"},
		reason: "server and host may be different machines; they meet only in agentapi and one",
	},
	{
		from: "internal/hypervisor", ban: []string{"internal/cloud", "internal/store", "internal/server"},
		reason: "a hypervisor runs machines and does not decide about them",
	},
	{
		from: "internal/server", ban: []string{"internal/store"},
		reason: "no face touches the store: rights, validation and quotas are in the service layer",
	},
	{
		from: "internal/cli", ban: []string{"internal/cloud", "internal/store", "internal/server"},
		reason: "a command parses, calls a client and renders; the rules stay on the server",
	},
	{
		from: "internal/client", ban: []string{"internal/cloud", "internal/store", "internal/server"},
		reason: "a client knows what is on the wire and nothing of how the server does it",
	},
	{
		from: "internal", except: []string{"internal/sandbox", "internal/demo"}, ban: []string{"internal/sandbox"},
		reason: "the sandbox starts the program anew, which only a program's edge may do: a command, the demonstration, a TestMain",
	},
	{
		from: "cmd/onegate", only: []string{"internal/onegate"},
		reason: "the guest's client is small and static: the standard library alone",
	},
	{
		from: "internal/onegate", only: []string{},
		reason: "the guest's client is small and static: the standard library alone",
	},
	{
		from: "", ban: []string{"github.com/OpenNebula/one"},
		reason: "the original's client may log.Fatal and read the home directory; it is for tests",
	},
}

// breaks returns what file does against the rule, one line for each import.
func (r importRule) breaks(file sourceFile) []string {
	if r.from != "" && !within(file.dir, r.from) {
		return nil
	}
	for _, dir := range r.except {
		if within(file.dir, dir) {
			return nil
		}
	}
	var faults []string
	for _, path := range file.imports {
		banned := false
		for _, ban := range r.ban {
			banned = banned || within(path, ban)
		}
		if r.only != nil && !isStandard(path) && !within(path, r.from) {
			allowed := false
			for _, only := range r.only {
				allowed = allowed || within(path, only)
			}
			banned = banned || !allowed
		}
		if banned {
			faults = append(faults, fmt.Sprintf("%s imports %s: %s", file.path, path, r.reason))
		}
	}
	return faults
}
