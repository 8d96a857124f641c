package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	errQuiet = errors.New("want quiet hours such as 23:00-07:00, or with a zone 23:00-07:00 Asia/Shanghai")
	errZone  = errors.New("want a time zone such as Asia/Shanghai behind the quiet hours")
)

// Quiet is a part of each day. The zero Quiet is none.
type Quiet struct {
	// From and To are times of the day since midnight, whole minutes, and not the same. From after To goes over midnight.
	From, To time.Duration
	// Zone is the time zone's name in the tz database; empty: the one that the relay runs in.
	Zone string
}

// ParseQuiet reads a part of the day as 23:00-07:00, with a zone behind it or without. Empty is the zero Quiet.
func ParseQuiet(s string) (Quiet, error) {
	if s == "" {
		return Quiet{}, nil
	}
	hours, zone, zoned := strings.Cut(s, " ")
	from, to, ok := strings.Cut(hours, "-")
	q := Quiet{Zone: zone}
	var err error
	if q.From, err = parseClock(from); err != nil || !ok {
		return Quiet{}, errQuiet
	}
	if q.To, err = parseClock(to); err != nil || q.From == q.To {
		return Quiet{}, errQuiet
	}
	if zoned && q.Location() == nil {
		return Quiet{}, errZone
	}
	return q, nil
}

// parseClock reads a time of the day as 07:00, two digits each.
func parseClock(s string) (time.Duration, error) {
	h, m, _ := strings.Cut(s, ":")
	hours, err := strconv.ParseUint(h, 10, 8)
	minutes, bad := strconv.ParseUint(m, 10, 8)
	if err != nil || bad != nil || len(h) != 2 || len(m) != 2 || hours > 23 || minutes > 59 {
		return 0, errQuiet
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute, nil
}

// Location is where the hours are meant; nil: where the relay runs.
func (q Quiet) Location() *time.Location {
	if q.Zone == "" {
		return nil
	}
	in, err := time.LoadLocation(q.Zone)
	if err != nil {
		return nil
	}
	return in
}

// IsZero says that there are no quiet hours.
func (q Quiet) IsZero() bool { return q == Quiet{} }

// String writes quiet hours as ParseQuiet reads them; empty for the zero Quiet.
func (q Quiet) String() string {
	if q.IsZero() {
		return ""
	}
	s := clock(q.From) + "-" + clock(q.To)
	if q.Zone != "" {
		s += " " + q.Zone
	}
	return s
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d/time.Minute)%60)
}
