package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr returns the address of whoever sent the request: the peer, or, where the peer is a trusted proxy, the
// nearest address of X-Forwarded-For that is not one. An entry that is no address ends the walk with none, because
// nothing left of it can be believed; where all are trusted, the farthest is the client. The zero Addr is nobody's.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer := peerAddr(r.RemoteAddr)
	if !contains(proxies, peer) {
		return peer
	}
	client := peer
	for _, header := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for entry := range backwardSplit(header) {
			addr, err := netip.ParseAddr(entry)
			if err != nil {
				return netip.Addr{}
			}
			client = addr.Unmap().WithZone("")
			if !contains(proxies, client) {
				return client
			}
		}
	}
	return client
}

// backwardSplit yields the non-empty entries of a comma-separated list from the right.
func backwardSplit(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for list != "" {
			cut := strings.LastIndexByte(list, ',')
			entry := strings.TrimSpace(list[cut+1:])
			list = list[:max(cut, 0)]
			if entry != "" && !yield(entry) {
				return
			}
		}
	}
}

// peerAddr reads a RemoteAddr. A peer without an IP address, on a unix socket, is the zero Addr.
func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// contains says that one of the networks holds the address.
func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
