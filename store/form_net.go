package store

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

func canonicalIP4(text string) (string, bool) {
	ip, err := netip.ParseAddr(text)
	return ip.String(), err == nil && ip.Is4()
}

func canonicalIP6(text string) (string, bool) {
	ip, err := netip.ParseAddr(text)
	return ip6Text(ip), err == nil && ip.Is6() && ip.Zone() == ""
}

// ip6Text writes groups alone: the original does not know the form that ends like an
// address of four bytes.
func ip6Text(ip netip.Addr) string {
	if b := ip.As16(); ip.Is4In6() {
		return fmt.Sprintf("::ffff:%x:%x", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
	}
	return ip.String()
}

func packIP(text string) string {
	ip, _ := netip.ParseAddr(text)
	return base64.StdEncoding.EncodeToString(ip.AsSlice())
}

func unpackIP(size int) func(string) (string, bool) {
	return func(stored string) (string, bool) {
		b, err := base64.StdEncoding.DecodeString(stored)
		if err != nil || len(b) != size {
			return "", false
		}
		ip, _ := netip.AddrFromSlice(b)
		return ip6Text(ip), true
	}
}

func canonicalMAC(text string) (string, bool) {
	digits := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(text))
	n, err := strconv.ParseUint(digits, 16, 48)
	return macText(n), err == nil && len(digits) == 12
}

func macText(n uint64) string {
	digits := fmt.Sprintf("%012x", n)
	parts := make([]string, 0, 6)
	for i := 0; i < 12; i += 2 {
		parts = append(parts, digits[i:i+2])
	}
	return strings.Join(parts, ":")
}

func packMAC(text string) string {
	n, _ := strconv.ParseUint(strings.ReplaceAll(text, ":", ""), 16, 48)
	return pad(n, 9)
}

func unpackMAC(stored string) (string, bool) {
	n, ok := unpad(stored, 1<<48-1)
	return macText(n), ok && len(stored) == 9
}

func canonicalCIDR(text string) (string, bool) {
	network, err := netip.ParsePrefix(text)
	return network.String(), err == nil && network.Addr().Is4()
}

func packCIDR(text string) string {
	network, _ := netip.ParsePrefix(text)
	b := network.Addr().As4()
	n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	return pad(n, 6) + pad(uint64(network.Bits()), 1)
}

func unpackCIDR(stored string) (string, bool) {
	if len(stored) != 7 {
		return "", false
	}
	n, ok := unpad(stored[:6], 1<<32-1)
	bits, fits := unpad(stored[6:], 32)
	if !ok || !fits {
		return "", false
	}
	ip := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return netip.PrefixFrom(ip, int(bits)).String(), true
}
