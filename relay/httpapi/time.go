package httpapi

import "time"

// Time is a time as the API shows it: RFC 3339 in UTC, with milliseconds.
type Time struct{ time.Time }

// timeFormat has milliseconds always, so that times sort as text.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return append(t.UTC().AppendFormat([]byte{'"'}, timeFormat), '"'), nil
}
