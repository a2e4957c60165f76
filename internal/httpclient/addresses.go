package httpclient

import (
	"net/netip"
	"slices"
)

// reservedRange is a range of addresses that lead to this machine, its link or its
// cloud.
type reservedRange struct {
	prefix netip.Prefix
	kind   string
}

const (
	loopback   = "a loopback address"
	linkLocal  = "a link-local address, where clouds serve the credentials of machines"
	metadata   = "an address where a cloud serves the credentials of machines"
	noAddress  = "an address of no machine, which leads to this one"
	multicast  = "a multicast address"
	broadcast  = "the broadcast address"
	zeroOfIPv4 = "an address of this network, which may lead to this machine"
)

// reservedRanges lists them.
var reservedRanges = []reservedRange{
	{netip.MustParsePrefix("0.0.0.0/32"), noAddress},
	{netip.MustParsePrefix("::/128"), noAddress},
	{netip.MustParsePrefix("0.0.0.0/8"), zeroOfIPv4},
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("::1/128"), loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},
	{netip.MustParsePrefix("fe80::/10"), linkLocal},
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},      // Amazon
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},   // Google
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // Azure
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},     // Oracle
	{netip.MustParsePrefix("224.0.0.0/4"), multicast},
	{netip.MustParsePrefix("ff00::/8"), multicast},
	{netip.MustParsePrefix("255.255.255.255/32"), broadcast},
}

// reserved returns what kind of address leads to this machine, its link or its
// cloud; empty for any other.
func reserved(a netip.Addr) string {
	for _, r := range reservedRanges {
		if r.prefix.Contains(a) {
			return r.kind
		}
	}

	return ""
}

// embedding is a range of IPv6 addresses that stand for IPv4 addresses.
type embedding struct {
	prefix netip.Prefix
	at     int  // the first of the four bytes
	not    bool // the bytes are inverted
}

// embeddings lists them: translators and tunnels of the network may turn these
// addresses into the IPv4 addresses.
var embeddings = []embedding{
	{prefix: netip.MustParsePrefix("::/96"), at: 12},                // IPv4-compatible, RFC 4291
	{prefix: netip.MustParsePrefix("::ffff:0:0:0/96"), at: 12},      // IPv4-translated, RFC 2765
	{prefix: netip.MustParsePrefix("64:ff9b::/96"), at: 12},         // NAT64, RFC 6052
	{prefix: netip.MustParsePrefix("64:ff9b:1::/48"), at: 12},       // NAT64 of a network, RFC 8215
	{prefix: netip.MustParsePrefix("2002::/16"), at: 2},             // 6to4, RFC 3056
	{prefix: netip.MustParsePrefix("2001::/32"), at: 12, not: true}, // Teredo, RFC 4380
	{prefix: netip.MustParsePrefix("2001::/32"), at: 4},             // its server
}

// spellings returns an address, and the IPv4 addresses that it stands for.
func spellings(a netip.Addr) []netip.Addr {
	all := []netip.Addr{a}
	if a.Is4() {
		return all
	}

	bytes := a.As16()
	for _, e := range embeddings {
		if !e.prefix.Contains(a) {
			continue
		}
		inner := [4]byte(bytes[e.at : e.at+4])
		if e.not {
			for i := range inner {
				inner[i] ^= 0xff
			}
		}
		all = append(all, netip.AddrFrom4(inner))
	}

	return all
}

// within reports whether one of the addresses is in one of the ranges.
func within(ranges []netip.Prefix, addresses []netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool {
		return slices.ContainsFunc(addresses, p.Contains)
	})
}
