package cloud

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/auth"
	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/pki"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// Settings under which the cluster's authority is kept.
const (
	settingCACert = "ca.crt"
	settingCAKey  = "ca.key"
)

// maxJoinLife bounds how long a join token may be valid.
const maxJoinLife = 30 * 24 * time.Hour

// Authority returns the cluster's certificate authority, making it the first time.
func (c *Cloud) Authority(ctx context.Context) (*pki.CA, error) {
	if ca, err := authorityOf(c.store.View()); ca != nil || err != nil {
		return ca, err
	}
	fresh, err := pki.NewCA(c.now())
	if err != nil {
		return nil, err
	}
	cert, key, err := fresh.PEM()
	if err != nil {
		return nil, err
	}
	var ca *pki.CA
	err = c.update(ctx, func(tx *store.Tx) error {
		if ca, err = authorityOf(&tx.State); ca != nil || err != nil {
			return err // somebody was first
		}
		tx.PutSetting(settingCACert, cert)
		tx.PutSetting(settingCAKey, key)
		ca = fresh
		return nil
	})
	return ca, err
}

func authorityOf(st *store.State) (*pki.CA, error) {
	cert, ok := st.Settings.Get(settingCACert)
	if !ok {
		return nil, nil
	}
	return pki.ParseCA(cert, st.Settings.At(settingCAKey))
}

// NewJoinToken makes a token with which the agent of a machine joins: once, within
// a time, as the host of that name or, if it is "", as any.
func (c *Cloud) NewJoinToken(ctx context.Context, who auth.Caller, host string, valid time.Duration) (string, error) {
	if valid <= 0 || valid > maxJoinLife {
		return "", errs.New(errs.API, "a join token is valid for 1 second to %d days", maxJoinLife/(24*time.Hour))
	}
	if err := c.allowCreate(c.store.View(), who, one.KindHost); err != nil {
		return "", err
	}
	ca, err := c.Authority(ctx)
	if err != nil {
		return "", err
	}
	token, err := ca.NewToken()
	if err != nil {
		return "", err
	}
	hash := token.Hash()
	err = c.update(ctx, func(tx *store.Tx) error {
		if err := c.allowCreate(&tx.State, who, one.KindHost); err != nil {
			return err
		}
		now := c.now()
		var old []string
		for h, t := range tx.JoinTokens.All() {
			if t.Expires <= now.Unix() {
				old = append(old, h)
			}
		}
		for _, h := range old {
			tx.DeleteJoinToken(h)
		}
		tx.PutJoinToken(&store.JoinToken{Hash: hex.EncodeToString(hash[:]), Host: host, Expires: now.Add(valid).Unix()})
		return nil
	})
	return token.Text(), err
}

// Join lets the agent of a machine in: its token is redeemed and its host
// registered, if it is not yet. It implements grpcapi.Enroller.
func (c *Cloud) Join(ctx context.Context, secret []byte, key [32]byte, hello agentapi.Hello) (pki.Host, error) {
	h := pki.Host{ID: -1, Name: hello.Host}
	err := c.update(ctx, func(tx *store.Tx) error {
		var joins []pki.Join
		var tokens []*store.JoinToken
		for _, t := range tx.JoinTokens.All() {
			j := pki.Join{Host: t.Host, Expires: time.Unix(t.Expires, 0)}
			if !unhex(j.Hash[:], t.Hash) || t.UsedBy != "" && !unhex(j.UsedBy[:], t.UsedBy) {
				continue
			}
			joins, tokens = append(joins, j), append(tokens, t)
		}
		i, err := pki.Redeem(joins, secret, hello.Host, key, c.now())
		if err != nil {
			return err
		}
		used := *tokens[i]
		used.UsedBy = hex.EncodeToString(key[:])
		tx.PutJoinToken(&used)
		h.ID, err = c.joinedHost(tx, hello)
		if err != nil {
			return err
		}
		tx.PutAgent(&store.Agent{HostID: h.ID, Fingerprint: used.UsedBy, Enrolled: c.now().Unix()})
		return nil
	})
	return h, err
}

func unhex(dst []byte, s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && copy(dst, b) == len(dst) && len(b) == len(dst)
}

// joinedHost returns the host of a name, registered with the agent's drivers if
// it is new.
func (c *Cloud) joinedHost(tx *store.Tx, hello agentapi.Hello) (int, error) {
	if id, ok := tx.HostNames.Find(hello.Host); ok {
		return id, nil
	}
	name, err := checkedName(hello.Host)
	if err != nil {
		return -1, err
	}
	im, vm := firstOf(hello.IMMad, "kvm"), firstOf(hello.VMMad, "kvm")
	id := tx.NextID("host", 0)
	tx.PutHost(&one.Host{ID: id, Name: name, IMMad: im, VMMad: vm, ClusterID: one.DefaultCluster, Template: tmpl.New(
		tmpl.Single("IM_MAD", im), tmpl.Single("VM_MAD", vm), tmpl.Single("RESERVED_CPU", ""), tmpl.Single("RESERVED_MEM", ""))})
	return id, nil
}

// Renew refuses a new certificate to hosts that were removed. It implements
// grpcapi.Enroller.
func (c *Cloud) Renew(_ context.Context, h pki.Host) error {
	st := c.store.View()
	if x, ok := st.Hosts.Get(h.ID); !ok || x.Name != h.Name {
		return errs.NotFound(one.KindHost, h.ID)
	}
	if _, ok := st.Agents.Get(h.ID); !ok {
		return errs.New(errs.Authorization, "host %d has no agent that joined", h.ID)
	}
	return nil
}
