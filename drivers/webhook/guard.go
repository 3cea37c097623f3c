package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

var (
	errLinkLocal = errors.New("link-local addresses are refused")
	errMetadata  = errors.New("the addresses of metadata services are refused")
	errPrivate   = errors.New("addresses that are not public are refused by PublicOnly")
)

// guard judges addresses.
type guard struct{ publicOnly bool }

// control judges the address that is really dialled, after name resolution.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	return g.judge(at.Addr())
}

func (g guard) judge(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	for _, at := range append(carried(ip), ip) {
		switch {
		case at.IsLinkLocalUnicast() || at.IsLinkLocalMulticast():
			return errLinkLocal
		case slices.Contains(metadata(), at):
			return errMetadata
		}
	}
	if g.publicOnly && !public(ip) {
		return errPrivate
	}
	return nil
}

// judgeHost judges a host as it stands in a URL: the address that it is, if it is one. An
// odd form of an address (decimal, octal, hexadecimal, with parts left out) is for each
// resolver something else, and never the name of a host: top-level domains are no
// numbers.
func (g guard) judgeHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.judge(ip)
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := strings.ToLower(labels[len(labels)-1])
	if strings.HasPrefix(last, "0x") || (last != "" && strings.Trim(last, "0123456789") == "") {
		return errors.New("a host that is a number must be an address in its usual form")
	}
	if g.publicOnly && strings.ContainsFunc(host, func(r rune) bool { return r > '~' }) {
		return errors.New("with PublicOnly, a host must be in its ASCII form (xn--…)")
	}
	return nil
}

// metadata gives the addresses of metadata services that are not link-local.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"), // Amazon: instances, pods
		netip.MustParseAddr("fd20:ce::254"),    // Google
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle
		netip.MustParseAddr("100.100.100.200"), // Alibaba
	}
}

// carried gives the IPv4 addresses within an IPv6 address of a form that a gateway, or
// the host itself, may unwrap.
func carried(ip netip.Addr) []netip.Addr {
	if !ip.Is6() {
		return nil
	}
	b := ip.As16()
	v4 := func(at int) netip.Addr { return netip.AddrFrom4([4]byte(b[at : at+4])) }
	last := []netip.Addr{v4(12)}
	switch {
	case within(ip, "64:ff9b::/96", "64:ff9b:1::/48", // NAT64
		"::/96", "::ffff:0:0:0/96"): // IPv4-compatible, IPv4-translated
		return last
	case within(ip, "2002::/16"): // 6to4
		return []netip.Addr{v4(2)}
	case within(ip, "2001::/32"): // Teredo: the server, and the client, inverted
		return []netip.Addr{v4(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP
		return last
	}
	return nil
}

// public reports whether an address is one of the open internet, by the registries of
// special-purpose addresses of IANA.
func public(ip netip.Addr) bool {
	switch {
	case ip.Is4():
		return !within(ip, "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
			"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
			"203.0.113.0/24", "224.0.0.0/3")
	case within(ip, "64:ff9b::/96"): // the way of an IPv6-only network to IPv4
		return public(carried(ip)[0])
	}
	return within(ip, "2000::/3") && !within(ip, "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
}

func within(ip netip.Addr, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(ip) })
}
