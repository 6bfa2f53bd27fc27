package onexml_test

import (
	"testing"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/onexml"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// FuzzDocuments puts any text where text can be, and any template that can be
// parsed where a template is.
func FuzzDocuments(f *testing.F) {
	f.Add("web-1", `CPU=1 DISK=[IMAGE="a"]`)
	f.Add("a<b>&c]]>", "<T><A>&amp;]]&gt;</A></T>")
	f.Add("\x00\xff\uFFFE\r\n\U0001F600", `NIC=[IP="x"] GRAPHICS=[] LABELS="é"`)
	f.Fuzz(func(t *testing.T, name, template string) {
		body, err := tmpl.Parse(template)
		if err != nil {
			body = tmpl.New(tmpl.Single("A", template), tmpl.Vec("DISK", "IMAGE", template), tmpl.Vec("NIC", "NETWORK", name))
		}
		m := one.Meta{Name: name, UName: name, GName: name}
		v := &one.VM{
			VMCore:       one.VMCore{Meta: m, DeployID: name, Template: body, Snapshots: body},
			UserTemplate: body, History: []*one.History{{Hostname: name, VMMad: name, TMMad: name}},
		}
		d := &onexml.Docs{State: &store.State{}, Monitor: samples{vms: map[int]agentapi.VMSample{0: {Data: body}}}}
		for what, text := range map[string][]byte{
			"VM": d.AppendVM(nil, v), "short VM": d.AppendVMShort(nil, v), "accounting": d.AppendAccounting(nil, recordsOf(v)),
			"image":      d.AppendImage(nil, &one.Image{Meta: m, Source: name, Path: name, Datastore: name, Template: body, Snapshots: body}),
			"network":    d.AppendVNet(nil, &one.VNet{Meta: m, Bridge: name, VNMad: name, Template: body, ARs: []one.AR{{PrefixLength: name, Attrs: body}}}, nil),
			"networks":   d.AppendVNetListed(nil, &one.VNet{Meta: m, ARs: []one.AR{{Attrs: body}}}),
			"host":       d.AppendHost(nil, &one.Host{Name: name, IMMad: name, Template: body}),
			"user":       d.AppendUser(nil, &one.User{Name: name, GName: name, Password: name, AuthDriver: name, Tokens: []one.LoginToken{{Token: name}}, Template: body}),
			"document":   d.AppendDocument(nil, &one.Document{Meta: m, Template: body}),
			"monitoring": onexml.AppendVMMonitoring(nil, func(yield func(agentapi.VMSample) bool) { yield(agentapi.VMSample{Data: body}) }),
		} {
			if err := wellFormed(text); err != nil {
				t.Errorf("%s of name %q and template %q: %v\n%s", what, name, template, err, text)
			}
		}
	})
}
