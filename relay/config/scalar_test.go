package config_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/config"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	rows := []struct {
		in, out string
		want    time.Duration
	}{
		{"0", "0s", 0},
		{"0s", "0s", 0},
		{"250ms", "250ms", 250 * time.Millisecond},
		{"5s", "5s", 5 * time.Second},
		{"60s", "1m", time.Minute},
		{"90s", "1m30s", 90 * time.Second},
		{"1.5h", "1h30m", 90 * time.Minute},
		{"24h", "24h", 24 * time.Hour},
		{"2d", "48h", 48 * time.Hour},
		{"30d", "30d", 720 * time.Hour},
		{"1d12h", "36h", 36 * time.Hour},
		{"65535d", "65535d", 65535 * 24 * time.Hour},
		{"100h0m1s", "100h0m1s", 100*time.Hour + time.Second},
	}
	for _, row := range rows {
		got, err := config.ParseDuration(row.in)
		if err != nil || got != row.want {
			t.Errorf("%s: got %v, %v, want %v", row.in, got, err, row.want)
		}
		if out := config.FormatDuration(got); out != row.out {
			t.Errorf("%s: written as %s, want %s", row.in, out, row.out)
		}
	}
	for _, in := range []string{"", "5", "d", "1dd", "-5s", "1d-5h", "+5s", "5 s", "1w", "99999d", "65535d2000000h", "9e9s"} {
		if got, err := config.ParseDuration(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	rows := []struct {
		in, out string
		want    config.Size
	}{
		{"0", "0", 0},
		{"0B", "0", 0},
		{"512B", "512B", 512},
		{"1KiB", "1KiB", 1024},
		{"1024KiB", "1MiB", 1 << 20},
		{"1 MiB", "1MiB", 1 << 20},
		{"3GiB", "3GiB", 3 << 30},
		{"2TiB", "2TiB", 2 << 40},
		{"10MB", "10000000B", 1e7},
		{"5kB", "5000B", 5000},
		{"5KB", "5000B", 5000},
	}
	for _, row := range rows {
		got, err := config.ParseSize(row.in)
		if err != nil || got != row.want || got.String() != row.out {
			t.Errorf("%s: got %d (%s), %v, want %d (%s)", row.in, int64(got), got, err, int64(row.want), row.out)
		}
	}
	for _, in := range []string{"", "1", "MiB", "-1MiB", "1.5MiB", "1mib", "9999999999TiB", "1 0B", "0x1B"} {
		if got, err := config.ParseSize(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestParseQuiet(t *testing.T) {
	t.Parallel()
	rows := []struct {
		in   string
		want config.Quiet
	}{
		{"", config.Quiet{}},
		{"23:00-07:00", config.Quiet{From: 23 * time.Hour, To: 7 * time.Hour}},
		{"00:00-23:59", config.Quiet{To: 23*time.Hour + 59*time.Minute}},
		{"13:05-13:06 UTC", config.Quiet{From: 13*time.Hour + 5*time.Minute, To: 13*time.Hour + 6*time.Minute, Zone: "UTC"}},
		{"23:30-00:00 Asia/Shanghai", config.Quiet{From: 23*time.Hour + 30*time.Minute, Zone: "Asia/Shanghai"}},
	}
	for _, row := range rows {
		got, err := config.ParseQuiet(row.in)
		if err != nil || got != row.want || got.String() != row.in {
			t.Errorf("%q: got %+v (%s), %v, want %+v", row.in, got, got, err, row.want)
		}
		if got.IsZero() != (row.in == "") {
			t.Errorf("%q: IsZero is %t", row.in, got.IsZero())
		}
		if in := got.Location(); (in == nil) != (row.want.Zone == "") || in != nil && in.String() != row.want.Zone {
			t.Errorf("%q: location is %v, want %q", row.in, in, row.want.Zone)
		}
	}
	for _, in := range []string{
		"23:00", "23:00-", "-07:00", "23:00-7:00", "23-07", "24:00-07:00", "23:00-07:60", "07:00-07:00", "23:00-07:00 ",
		"23:00 - 07:00", "23:00-07:00 Asia", "23:00-07:00 ../UTC", "23:00-07:00  UTC", "23:00-07:00 UTC+8", "+3:00-07:00",
		"23:00:00-07:00:00", "2３:00-07:00", "0.0:00-07:00",
	} {
		if got, err := config.ParseQuiet(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	rows := []struct {
		in   string
		want config.Rate
	}{
		{"", config.Rate{}},
		{"1/s", config.Rate{N: 1, Per: time.Second}},
		{"20/m", config.Rate{N: 20, Per: time.Minute}},
		{"500/h", config.Rate{N: 500, Per: time.Hour}},
		{"1000/d", config.Rate{N: 1000, Per: 24 * time.Hour}},
	}
	for _, row := range rows {
		got, err := config.ParseRate(row.in)
		if err != nil || got != row.want || got.String() != row.in {
			t.Errorf("%q: got %+v (%s), %v, want %+v", row.in, got, got, err, row.want)
		}
		if got.IsZero() != (row.in == "") {
			t.Errorf("%q: IsZero is %t", row.in, got.IsZero())
		}
	}
	for _, in := range []string{"20", "20/", "/m", "0/m", "-1/m", "1.5/s", "20/min", "20/m/s", "99999999999/s"} {
		if got, err := config.ParseRate(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}
