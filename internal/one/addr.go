package one

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// AR is an address range of a network: Size addresses counted from its first
// MAC, IPv4 and IPv6 address. Source: resources reference §6.2.
type AR struct {
	ID   int
	Type ARType
	Size uint32
	MAC  MAC
	IP   netip.Addr // first IPv4 address, invalid if the type has none
	// IP6 is the first address of the static types; the SLAAC types have prefixes.
	IP6                     netip.Addr
	PrefixLength            string
	GlobalPrefix, ULAPrefix netip.Addr // 64-bit prefixes
	ParentAR                int        // the parent network's range of a reservation, -1 for none
	ParentIndex             uint32     // where in that range the reservation begins
	// Attrs holds the rest: SECURITY_GROUPS, overrides of network attributes, custom ones.
	Attrs *tmpl.Template
}

// ARType tells which addresses a range has: bits ETHER, IPv4, IPv6 SLAAC, IPv6 static.
type ARType int

// Address range types, with the reference's values.
const (
	ARNone       ARType = 0
	AREther      ARType = 1
	ARIP4        ARType = 3
	ARIP6        ARType = 5
	ARIP46       ARType = 7
	ARIP6Static  ARType = 9
	ARIP46Static ARType = 11
)

var arTypeNames = map[ARType]string{
	AREther: "ETHER", ARIP4: "IP4", ARIP6: "IP6", ARIP46: "IP4_6", ARIP6Static: "IP6_STATIC", ARIP46Static: "IP4_6_STATIC",
}

// String returns the word of templates.
func (t ARType) String() string { return arTypeNames[t] }

// ParseARType reads the word of templates; the case does not matter.
func ParseARType(s string) (ARType, bool) {
	for t, n := range arTypeNames {
		if strings.EqualFold(n, s) {
			return t, true
		}
	}
	return ARNone, false
}

// HasIP4 tells whether the range has IPv4 addresses.
func (t ARType) HasIP4() bool { return t&2 != 0 }

// HasSLAAC tells whether the range has IPv6 addresses made from prefix and MAC.
func (t ARType) HasSLAAC() bool { return t&4 != 0 }

// HasStatic6 tells whether the range has counted IPv6 addresses.
func (t ARType) HasStatic6() bool { return t&8 != 0 }

// MAC is a hardware address in the low 48 bits.
type MAC uint64

// String renders aa:bb:cc:dd:ee:ff in lower case.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x",
		byte(m>>40), byte(m>>32), byte(m>>24), byte(m>>16), byte(m>>8), byte(m))
}

// ParseMAC reads six hexadecimal bytes separated by colons.
func ParseMAC(s string) (MAC, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 6 {
		return 0, false
	}
	var m MAC
	for _, p := range parts {
		b, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return 0, false
		}
		m = m<<8 | MAC(b)
	}
	return m, true
}

// MACOf returns the MAC of an IPv4 address: a two-byte prefix, then the address.
func MACOf(prefix uint16, ip netip.Addr) MAC {
	b := ip.As4()
	return MAC(prefix)<<32 | MAC(binary.BigEndian.Uint32(b[:]))
}

// MACAt returns the i-th MAC of the range.
func (a AR) MACAt(i uint32) MAC { return a.MAC + MAC(i) }

// IPAt returns the i-th IPv4 address, invalid if the range has none.
func (a AR) IPAt(i uint32) netip.Addr {
	if !a.Type.HasIP4() || !a.IP.Is4() {
		return netip.Addr{}
	}
	b := a.IP.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+i)
	return netip.AddrFrom4(b)
}

// IP6At returns the i-th counted IPv6 address, invalid if the range has none.
func (a AR) IP6At(i uint32) netip.Addr {
	if !a.Type.HasStatic6() || !a.IP6.Is6() {
		return netip.Addr{}
	}
	b := a.IP6.As16()
	low := binary.BigEndian.Uint64(b[8:]) + uint64(i)
	if low < uint64(i) {
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])+1)
	}
	binary.BigEndian.PutUint64(b[8:], low)
	return netip.AddrFrom16(b)
}

// SLAAC returns the address a guest gives itself in a 64-bit prefix (modified EUI-64).
func SLAAC(prefix netip.Addr, m MAC) netip.Addr {
	if !prefix.Is6() {
		return netip.Addr{}
	}
	b := prefix.As16()
	b[8], b[9], b[10] = byte(m>>40)^2, byte(m>>32), byte(m>>24)
	b[11], b[12] = 0xff, 0xfe
	b[13], b[14], b[15] = byte(m>>16), byte(m>>8), byte(m)
	return netip.AddrFrom16(b)
}

// LinkLocal is the prefix of IPv6 link-local addresses.
var LinkLocal = netip.MustParseAddr("fe80::")

// IndexOfIP returns which address of the range an IPv4 or counted IPv6 address is.
func (a AR) IndexOfIP(ip netip.Addr) (uint32, bool) {
	if ip.Is4() && a.Type.HasIP4() && a.IP.Is4() {
		x, y := ip.As4(), a.IP.As4()
		d := int64(binary.BigEndian.Uint32(x[:])) - int64(binary.BigEndian.Uint32(y[:]))
		if d >= 0 && d < int64(a.Size) {
			return uint32(d), true
		}
		return 0, false
	}
	if ip.Is6() && a.Type.HasStatic6() && a.IP6.Is6() {
		x, y := ip.As16(), a.IP6.As16()
		hx, hy := binary.BigEndian.Uint64(x[:8]), binary.BigEndian.Uint64(y[:8])
		lx, ly := binary.BigEndian.Uint64(x[8:]), binary.BigEndian.Uint64(y[8:])
		d := lx - ly
		sameHigh := hx == hy && lx >= ly
		carried := hx == hy+1 && lx < ly
		if (sameHigh || carried) && d < uint64(a.Size) {
			return uint32(d), true
		}
	}
	return 0, false
}

// IndexOfMAC returns which address of the range a MAC is.
func (a AR) IndexOfMAC(m MAC) (uint32, bool) {
	if m >= a.MAC && m-a.MAC < MAC(a.Size) {
		return uint32(m - a.MAC), true
	}
	return 0, false
}
