package flow_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/flow/jsontree"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
)

// nets returns the names of all networks, by id.
func (b *bench) nets() map[int]string {
	out := map[int]string{}
	for id, n := range b.st.View().VNets.All() {
		out[id] = n.Name
	}
	return out
}

// vntemplate registers a template of networks that everybody may use.
func (b *bench) vntemplate(text string) int {
	b.t.Helper()
	id, err := b.Cloud.AllocateVNTemplate(b.Context(), b.Admin, parseText(b.t, text))
	b.must(err)
	b.must(b.Cloud.Chmod(b.Context(), b.Admin, one.KindVNTemplate, id, [9]int{-1, -1, -1, -1, -1, -1, 1, -1, -1}))
	return id
}

// instantiate makes a service of roles as a user, who may use the VM template.
func (b *bench) instantiate(who auth.Caller, members string, roles ...string) (int, error) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) {
		vt := *tx.Templates.At(b.vmt)
		vt.Perms = 0o644
		tx.PutTemplate(&vt)
	})
	v, err := b.flow.CreateTemplate(b.Context(), who, parse(b.t, `{"name":"s",`+members+`,"roles":[`+strings.Join(roles, ",")+`]}`))
	b.must(err)
	_, err = b.flow.Instantiate(b.Context(), who, idOf(b.t, v), jsontree.Value{})
	all := b.st.View().TypeDocuments.List(one.DocService)
	return all[len(all)-1], err
}

// A service has networks made of templates: they are its owner's, who may create
// none himself, and go when it goes.
func TestNetworkOfTemplate(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	first := b.vntemplate("NAME=edge\nVN_MAD=bridge\nDNS=\"10.0.0.1\"")
	second := b.vntemplate("NAME=inner\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.7.0.1,SIZE=3]")
	values := fmt.Sprintf(`"networks_values":[{"Out":{"template_id":"%d","extra":"AR=[ IP=10.6.0.10, SIZE=2, TYPE=IP4 ]"}},{"In":{"template_id":%d}}]`, first, second)
	id, err := b.instantiate(alice, `"networks":{"Out":"M|network|x||template_id:0","In":"M|network|y||template_id:1"},`+values,
		b.role("web 2", `"template_contents":{"NIC":[{"NETWORK_ID":"$Out"},{"NETWORK_ID":"$In"}]}`))
	b.must(err)
	b.waitState(id, one.ServiceRunning)
	st := b.st.View()
	out, ok := st.VNetNames.FindOf(alice.UID, fmt.Sprintf("Out-%d", id))
	in, ok2 := st.VNetNames.FindOf(alice.UID, fmt.Sprintf("In-%d", id))
	if !ok || !ok2 {
		t.Fatalf("the networks are %v", b.nets())
	}
	n, _ := st.VNets.Get(out)
	if n.GID != one.UsersGroupID || n.VNMad != "bridge" || n.Template.Get("DNS") != "10.0.0.1" || n.Template.Get("TEMPLATE_NAME") != "edge" {
		t.Errorf("the network is %+v: %s", n.Meta, n.Template.Text())
	}
	for i, v := range b.vms(id, "web") {
		nics := v.Template.Vectors("NIC")
		if want := []string{fmt.Sprintf("10.6.0.1%d", i), fmt.Sprintf("10.7.0.%d", 1+i)}; nics[0].Get("IP") != want[0] || nics[1].Get("IP") != want[1] {
			t.Errorf("NICs of VM %d: %v, want %v", v.ID, nics, want)
		}
	}
	body, _ := b.flow.Body(id)
	if want := fmt.Sprintf(`"extra":"AR=[ IP=10.6.0.10, SIZE=2, TYPE=IP4 ]","id":%d}},{"In":{"template_id":%d,"id":%d}}]`, out, second, in); !strings.Contains(string(body), want) {
		t.Errorf("body %s\nlacks %s", body, want)
	}
	b.must(b.flow.Undeploy(b.Context(), alice, id))
	b.waitGone(id)
	if left := b.nets(); len(left) > 0 {
		t.Errorf("networks are left: %v", left)
	}
}

// What cannot be made is not made by half, and is said; recovery makes all of it.
func TestNetworkOfTemplateFailure(t *testing.T) {
	for _, c := range []struct {
		name, template, extra, want string
		mend                        func(b *bench, tid int) // nil: there is no mending it
	}{
		{
			name: "driver", template: "NAME=t\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.8.0.1,SIZE=1]", want: "Error allocating a new virtual network template. No VN_MAD in template for Virtual Network.",
			mend: func(b *bench, tid int) {
				b.must(b.Cloud.UpdateVNTemplate(b.Context(), b.Admin, tid, parseText(b.t, "VN_MAD=dummy"), 1))
			},
		},
		{
			name: "locked", template: "NAME=t\nVN_MAD=bridge\nLOCK_IT=YES", extra: "AR=[TYPE=IP4,IP=10.8.0.1,SIZE=1]", want: "User [2] : Not authorized to perform USE VNTEMPLATE [0].",
			mend: func(b *bench, tid int) { b.must(b.Cloud.Unlock(b.Context(), b.Admin, one.KindVNTemplate, tid)) },
		},
		{name: "restricted", template: "NAME=t\nVN_MAD=bridge", extra: "VN_MAD=vxlan", want: "User [2] : User Template includes a restricted attribute VN_MAD."},
		{name: "range", template: "NAME=t\nVN_MAD=bridge", extra: "AR=[TYPE=IP4]", want: "Error allocating a new virtual network template. Wrong SIZE () for address range"},
		{name: "text", template: "NAME=t\nVN_MAD=bridge", extra: "AR=[", want: "network 'Own': Parse error: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			alice := b.user("alice")
			good := b.vntemplate("NAME=good\nVN_MAD=bridge\nAR=[TYPE=IP4,IP=10.7.0.1,SIZE=3]")
			tid := b.vntemplate(c.template)
			if strings.Contains(c.template, "LOCK_IT") {
				b.must(b.Cloud.Lock(b.Context(), b.Admin, one.KindVNTemplate, tid, 1, false))
				c.want = strings.Replace(c.want, "[0]", fmt.Sprintf("[%d]", tid), 1)
			}
			c.want = strings.Replace(c.want, "User [2]", fmt.Sprintf("User [%d]", alice.UID), 1)
			values := fmt.Sprintf(`"networks_values":[{"Pub":{"template_id":"%d"}},{"Own":{"template_id":"%d","extra":%q}}]`, good, tid, c.extra)
			id, err := b.instantiate(alice, values, b.role("web 1", `"template_contents":{"NIC":[{"NETWORK_ID":"$Pub"},{"NETWORK_ID":"$Own"}]}`))
			failed := func(err error) {
				t.Helper()
				if err == nil || !strings.HasPrefix(err.Error(), "[one.vntemplate.instantiate] "+c.want) {
					t.Fatalf("got error %v, want %s", err, c.want)
				}
				if left := b.nets(); len(left) > 0 {
					t.Errorf("networks are left: %v", left)
				}
			}
			failed(err)
			b.waitState(id, one.ServiceFailedDeploying)
			if want := "E " + err.Error(); !contains(b.log(id), want) {
				t.Errorf("log %q lacks %q", b.log(id), want)
			}
			failed(b.flow.Recover(b.Context(), b.Admin, id, false))
			if c.mend == nil {
				b.must(b.flow.Recover(b.Context(), alice, id, true))
			} else {
				c.mend(b, tid)
				b.must(b.flow.Recover(b.Context(), b.Admin, id, false)) // and still they are alice's
				b.waitFor(id, one.ServiceRunning, nil)
				for net, name := range b.nets() {
					if n, _ := b.st.View().VNets.Get(net); n.UID != alice.UID {
						t.Errorf("network %s belongs to user %d", name, n.UID)
					}
				}
				if n := len(b.nets()); n != 2 {
					t.Errorf("%d networks", n)
				}
				b.must(b.flow.Undeploy(b.Context(), alice, id))
			}
			b.waitGone(id)
			if left := b.nets(); len(left) > 0 {
				t.Errorf("networks are left: %v", left)
			}
		})
	}
}

// A service removes the networks that it made, never one that its template claims
// to have been made.
func TestNetworkOfAnother(t *testing.T) {
	b := newBench(t)
	alice := b.user("alice")
	theirs, err := b.Cloud.AllocateVNet(b.Context(), b.Admin, parseText(t, "NAME=theirs\nVN_MAD=dummy\nBRIDGE=br0"), -1)
	b.must(err)
	tid := b.vntemplate("NAME=t\nVN_MAD=bridge")
	id, err := b.instantiate(alice, fmt.Sprintf(`"networks_values":[{"Own":{"template_id":"%d","id":%d}}]`, tid, theirs), b.role("web 0", ""))
	b.must(err)
	b.waitState(id, one.ServiceRunning)
	if n := len(b.nets()); n != 2 {
		t.Errorf("the networks are %v", b.nets())
	}
	b.must(b.flow.Undeploy(b.Context(), alice, id))
	b.waitGone(id)
	if want := map[int]string{theirs: "theirs"}; !maps.Equal(b.nets(), want) {
		t.Errorf("the networks are %v, want %v", b.nets(), want)
	}
}

// Whatever networks services ask for, in whatever order they are made, fail,
// recover and end: a service that runs has all of its networks, one that failed has
// none, and when all are gone there is what there was before.
func TestAnyNetworks(t *testing.T) {
	b := newBench(t)
	parent, err := b.Cloud.AllocateVNet(b.Context(), b.Admin, parseText(t, "NAME=net\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP=10.0.0.10,SIZE=6]"), -1)
	b.must(err)
	good := b.vntemplate("NAME=good\nVN_MAD=bridge")
	before := b.nets()
	kinds := []string{
		fmt.Sprintf(`{"template_id":"%d"}`, good), fmt.Sprintf(`{"template_id":"%d","extra":"AR=[TYPE=IP4,IP=10.1.0.1,SIZE=2]"}`, good),
		fmt.Sprintf(`{"template_id":"%d","extra":"VN_MAD=none"}`, good), `{"template_id":"999"}`,
		fmt.Sprintf(`{"reserve_from":"%d","extra":"SIZE=2"}`, parent), fmt.Sprintf(`{"reserve_from":"%d","extra":"SIZE=9"}`, parent),
		fmt.Sprintf(`{"id":"%d"}`, parent), `{"id":"999"}`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		made := map[int]int{} // service → networks of its own
		for range rapid.IntRange(1, 4).Draw(rt, "services") {
			var values []string
			own := 0
			for i, k := range rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 3).Draw(rt, "networks") {
				values = append(values, fmt.Sprintf(`{"N%d":%s}`, i, k))
				if !strings.Contains(k, `{"id"`) {
					own++
				}
			}
			id, err := b.instantiate(b.Admin, `"networks_values":[`+strings.Join(values, ",")+`]`, b.role("web 0", ""))
			want := one.ServiceRunning
			if made[id] = own; err != nil {
				want, made[id] = one.ServiceFailedDeploying, 0
			}
			b.waitState(id, want)
			if want != one.ServiceRunning && b.flow.Recover(b.Context(), b.Admin, id, false) == nil {
				// What was reserved by another is free by now; or nothing is to be made,
				// and what is to be there is looked at when the roles are deployed.
				made[id], want = own, one.ServiceRunning
				if own == 0 {
					want = one.ServiceFailedDeployingNets
				}
				b.waitState(id, want)
			}
			for id, n := range made {
				have := 0
				for _, name := range b.nets() {
					if strings.HasPrefix(name, "N") && strings.HasSuffix(name, fmt.Sprintf("-%d", id)) {
						have++
					}
				}
				if have != n {
					rt.Fatalf("service %d has %d networks of %d: %v", id, have, n, b.nets())
				}
			}
			if rapid.Bool().Draw(rt, "end one") {
				b.end(made, slices.Sorted(maps.Keys(made))[0])
			}
		}
		for id := range maps.Clone(made) {
			b.end(made, id)
		}
		if !maps.Equal(b.nets(), before) {
			rt.Fatalf("networks are %v, want %v", b.nets(), before)
		}
	})
}

// end ends a service, in whatever state.
func (b *bench) end(made map[int]int, id int) {
	b.t.Helper()
	b.must(b.flow.Recover(b.Context(), b.Admin, id, true))
	b.waitGone(id)
	delete(made, id)
}
