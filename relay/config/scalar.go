package config

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Errors of the parsers say what would be right and do not repeat what was given.
var (
	errDuration = errors.New("want a duration such as 500ms, 5s, 10m, 24h or 30d")
	errSize     = errors.New("want a size such as 64KiB, 1MiB or 2GiB")
	errRate     = errors.New("want a rate such as 1/s, 20/m, 500/h or 1000/d")
	errNetwork  = errors.New("want a network such as 10.0.0.0/8 or an address")
)

const day = 24 * time.Hour

// ParseDuration reads a duration as Go writes it, with d for a day of 24 hours besides. It must not be negative; 0
// needs no unit.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	if head, tail, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		if days, s = time.Duration(n)*day, tail; s == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || strings.ContainsAny(s, "+-") || d > math.MaxInt64-days {
		return 0, errDuration
	}
	return days + d, nil
}

// FormatDuration writes a duration as ParseDuration reads it, in the shortest way.
func FormatDuration(d time.Duration) string {
	if d > 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written with a unit: 64KiB, 1MiB, 2GiB.
type Size int64

// units are from the largest down, so that the first that divides is the shortest way to write a size.
var units = []struct {
	name  string
	bytes Size
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// ParseSize reads a size. A unit is needed, B for bytes, but for 0.
func ParseSize(s string) (Size, error) {
	if s == "0" {
		return 0, nil
	}
	for _, u := range units {
		head, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(head), 10, 63)
		if err != nil || Size(n) > math.MaxInt64/u.bytes {
			return 0, errSize
		}
		return Size(n) * u.bytes, nil
	}
	return 0, errSize
}

// String writes a size as ParseSize reads it.
func (s Size) String() string {
	for _, u := range units {
		if s >= u.bytes && s%u.bytes == 0 && (u.bytes == 1 || strings.Contains(u.name, "i")) {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return "0"
}

// Rate is how often something may happen: N times in each Per. The zero Rate is "not limited".
type Rate struct {
	// N is at least 1.
	N int
	// Per is a second, a minute, an hour or a day.
	Per time.Duration
}

var periods = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": day}

// ParseRate reads a rate as 20/m. Empty is the zero Rate.
func ParseRate(s string) (Rate, error) {
	if s == "" {
		return Rate{}, nil
	}
	head, unit, _ := strings.Cut(s, "/")
	per, ok := periods[unit]
	n, err := strconv.ParseUint(head, 10, 31)
	if !ok || err != nil || n == 0 {
		return Rate{}, errRate
	}
	return Rate{N: int(n), Per: per}, nil
}

// IsZero says that there is no limit.
func (r Rate) IsZero() bool { return r == Rate{} }

// String writes a rate as ParseRate reads it; empty for the zero Rate.
func (r Rate) String() string {
	for unit, per := range periods {
		if r.Per == per {
			return strconv.Itoa(r.N) + "/" + unit
		}
	}
	return ""
}

// parseNetwork reads a network; an address is the network of that address alone. Bits beyond the prefix are cleared.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, errNetwork
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
