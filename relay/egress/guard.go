package egress

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// metadata are the addresses where clouds hand out credentials to whoever can call from the machine. Nothing that a
// relay calls lives there. Private and loopback addresses are where agents live, so they are allowed.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),     // link-local: AWS, Google, Azure, DigitalOcean and most others
	netip.MustParsePrefix("fe80::/10"),          // link-local
	netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
}

// inward are the networks that are not the Internet, beside those that [netip.Addr] knows by itself. 198.18.0.0/15 is
// not among them: proxies that stand in for a machine's name server answer with it for every name there is.
var inward = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this machine, on some systems
	netip.MustParsePrefix("100.64.0.0/10"),  // carriers' NAT, and overlay networks
	netip.MustParsePrefix("192.0.0.0/24"),   // protocols' own
	netip.MustParsePrefix("240.0.0.0/4"),    // reserved, and broadcast
	netip.MustParsePrefix("::/96"),          // IPv4 in a form that is out of use
	netip.MustParsePrefix("64:ff9b:1::/48"), // NAT64 of a site
	netip.MustParsePrefix("2001::/32"),      // Teredo
	netip.MustParsePrefix("2002::/16"),      // 6to4
	netip.MustParsePrefix("fec0::/10"),      // site-local
}

// nat64 is the prefix under which a NAT64 gateway reaches IPv4.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// guard decides where nothing is dialled.
type guard struct {
	// public refuses what is not the Internet, but for the allowed networks.
	public bool
	allow  []netip.Prefix
}

// refuses tells whether nothing may be dialled there, whatever form the address has.
func (g guard) refuses(ip netip.Addr) bool {
	ip = plain(ip)
	switch {
	case within(metadata, ip):
		return true
	case !g.public || within(g.allow, ip):
		return false
	}
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsMulticast() || ip.IsUnspecified() || within(inward, ip)
}

// refusesHost is refuses for a URL's host that somebody else looks up: what leads to an address without being one is
// not known here.
func (g guard) refusesHost(host string) bool {
	if ip, ok := literal(host); ok {
		return g.refuses(ip)
	}
	host = "." + strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".localhost") && g.refuses(netip.IPv6Loopback()) &&
		g.refuses(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// control sees every address just before it is dialled, after names were resolved: no name leads to a refused one.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || g.refuses(ap.Addr()) {
		return errAddress
	}
	return nil
}

// Metadata says whether a URL's host is an address where clouds hand out credentials, in any of the forms that an
// address may be written in. It looks up no name.
func Metadata(host string) bool {
	ip, ok := literal(host)
	return ok && guard{}.refuses(ip)
}

// plain is the address that is meant by one of its other forms.
func plain(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !nat64.Contains(ip) {
		return ip
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

func within(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// literal reads a host that is an address. Systems' resolvers take more forms than RFC 3986 knows: 0x7f.1 is 127.0.0.1.
func literal(host string) (netip.Addr, bool) {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, true
	}
	const bytes = 4
	parts := strings.Split(host, ".")
	if len(parts) > bytes {
		return netip.Addr{}, false
	}
	var all uint64
	for i, p := range parts {
		bits := 8
		if i == len(parts)-1 { // the last part stands for all that is left
			bits = 8 * (bytes - i)
		}
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil || n>>bits != 0 {
			return netip.Addr{}, false
		}
		all = all<<bits | n
	}
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(all)))), true
}
