package one_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/trifid-cloud/trifid/internal/one"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// Address i of a range, by the resources reference §6.2.
func TestRangeAddresses(t *testing.T) {
	const mac = one.MAC(0x02000a000001)
	for _, q := range []struct {
		name                     string
		ar                       one.AR
		i                        uint32
		mac, ip, ip6, slaac, ula string
	}{
		{name: "MAC of an IPv4 address", ar: one.AR{Type: one.ARIP4, Size: 10, MAC: one.MACOf(0x0200, ip("10.0.0.1")), IP: ip("10.0.0.1")}, i: 0, mac: "02:00:0a:00:00:01", ip: "10.0.0.1"},
		{name: "over a byte", ar: one.AR{Type: one.ARIP4, Size: 600, MAC: mac, IP: ip("10.0.0.1")}, i: 511, mac: "02:00:0a:00:02:00", ip: "10.0.2.0"},
		{name: "hardware only", ar: one.AR{Type: one.AREther, Size: 10, MAC: mac}, i: 3, mac: "02:00:0a:00:00:04"},
		{name: "static IPv6", ar: one.AR{Type: one.ARIP6Static, Size: 1 << 20, MAC: mac, IP6: ip("2001:db8::ffff")}, i: 1, mac: "02:00:0a:00:00:02", ip6: "2001:db8::1:0"},
		{name: "static IPv6 over the low half", ar: one.AR{Type: one.ARIP46Static, Size: 10, MAC: mac, IP: ip("10.0.0.1"), IP6: ip("2001:db8::ffff:ffff:ffff:ffff")}, i: 1, mac: "02:00:0a:00:00:02", ip: "10.0.0.2", ip6: "2001:db8:0:1::"},
		{name: "SLAAC", ar: one.AR{Type: one.ARIP46, Size: 10, MAC: mac, IP: ip("10.0.0.1"), GlobalPrefix: ip("2001:db8::"), ULAPrefix: ip("fd00::")}, i: 0, mac: "02:00:0a:00:00:01", ip: "10.0.0.1", slaac: "2001:db8::aff:fe00:1", ula: "fd00::aff:fe00:1"},
	} {
		a := q.ar
		text := func(x netip.Addr) string {
			if !x.IsValid() {
				return ""
			}
			return x.String()
		}
		if got := a.MACAt(q.i).String(); got != q.mac {
			t.Errorf("%s: MAC %s, want %s", q.name, got, q.mac)
		}
		if got := text(a.IPAt(q.i)); got != q.ip {
			t.Errorf("%s: IP %s, want %s", q.name, got, q.ip)
		}
		if got := text(a.IP6At(q.i)); got != q.ip6 {
			t.Errorf("%s: IP6 %s, want %s", q.name, got, q.ip6)
		}
		if got := text(one.SLAAC(a.GlobalPrefix, a.MACAt(q.i))); got != q.slaac {
			t.Errorf("%s: global %s, want %s", q.name, got, q.slaac)
		}
		if got := text(one.SLAAC(a.ULAPrefix, a.MACAt(q.i))); got != q.ula {
			t.Errorf("%s: ULA %s, want %s", q.name, got, q.ula)
		}
	}
}

// Where an address lies in a range is the inverse of which address lies there.
func TestRangeIndexIsInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint32Range(1, 1<<20).Draw(t, "size")
		first4 := rapid.Uint32Range(1, 0xffffffff-1<<21).Draw(t, "first")
		var b6 [16]byte
		copy(b6[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "first6"))
		b6[0] = 0x20 // away from the end of the space and from mapped addresses
		a := one.AR{
			Type: one.ARIP46Static, Size: size, MAC: one.MAC(rapid.Uint64Range(0, 1<<48-1<<21).Draw(t, "mac")),
			IP:  netip.AddrFrom4([4]byte{byte(first4 >> 24), byte(first4 >> 16), byte(first4 >> 8), byte(first4)}),
			IP6: netip.AddrFrom16(b6),
		}
		i := rapid.Uint32Range(0, size-1).Draw(t, "i")
		for what, got := range map[string]func() (uint32, bool){
			"IP":  func() (uint32, bool) { return a.IndexOfIP(a.IPAt(i)) },
			"IP6": func() (uint32, bool) { return a.IndexOfIP(a.IP6At(i)) },
			"MAC": func() (uint32, bool) { return a.IndexOfMAC(a.MACAt(i)) },
		} {
			if j, ok := got(); !ok || j != i {
				t.Fatalf("%s: address %d is found at %d, %v", what, i, j, ok)
			}
		}
		if _, ok := a.IndexOfIP(a.IPAt(size)); ok {
			t.Fatal("the address behind the last one is in the range")
		}
		if _, ok := a.IndexOfIP(a.IP6At(size)); ok {
			t.Fatal("the IPv6 address behind the last one is in the range")
		}
		if _, ok := a.IndexOfIP(a.IP.Prev()); ok {
			t.Fatal("the address before the first one is in the range")
		}
		m, ok := one.ParseMAC(a.MACAt(i).String())
		if !ok || m != a.MACAt(i) {
			t.Fatalf("MAC %s is read as %s, %v", a.MACAt(i), m, ok)
		}
	})
}

func TestParseMAC(t *testing.T) {
	for s, want := range map[string]string{
		"02:00:0a:00:00:01": "02:00:0a:00:00:01", "2:0:A:0:0:1": "02:00:0a:00:00:01", "FF:ff:FF:ff:FF:ff": "ff:ff:ff:ff:ff:ff",
		"": "", "02:00:0a:00:00": "", "02:00:0a:00:00:01:02": "", "02:00:0a:00:00:0g": "", "02-00-0a-00-00-01": "",
		"100:0:0:0:0:0": "", "+1:0:0:0:0:0": "", "-1:0:0:0:0:0": "", " 2:0:0:0:0:0": "", ":::::": "", "0x2:0:0:0:0:0": "", "1_1:0:0:0:0:0": "",
	} {
		m, ok := one.ParseMAC(s)
		if ok != (want != "") || ok && m.String() != want {
			t.Errorf("%q: got %s, %v; want %q", s, m, ok, want)
		}
	}
}

func FuzzParseMAC(f *testing.F) {
	f.Add("02:00:0a:00:00:01")
	f.Add("::::::")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := one.ParseMAC(s)
		if again, ok2 := one.ParseMAC(m.String()); ok && (!ok2 || again != m || m>>48 != 0) {
			t.Errorf("%q is %x, printed %s, read %x", s, uint64(m), m, uint64(again))
		}
	})
}

func TestLeaseKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (one.LeaseKey, [3]int) {
			n, a, i := rapid.IntRange(0, one.MaxNets-1).Draw(t, "net"), rapid.IntRange(0, one.MaxARs-1).Draw(t, "ar"), rapid.Uint32().Draw(t, "index")
			k := one.MakeLeaseKey(n, a, i)
			if gn, ga, gi := k.Parts(); gn != n || ga != a || gi != i {
				t.Fatalf("%d/%d/%d comes back as %d/%d/%d", n, a, i, gn, ga, gi)
			}
			return k, [3]int{n, a, int(i)}
		}
		k1, p1 := draw()
		k2, p2 := draw()
		less := p1[0] < p2[0] || p1[0] == p2[0] && (p1[1] < p2[1] || p1[1] == p2[1] && p1[2] < p2[2])
		if (k1 < k2) != less {
			t.Fatalf("%v < %v is %v by key", p1, p2, k1 < k2)
		}
	})
}
