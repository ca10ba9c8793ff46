package config_test

import (
	"math"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want config.Size
		out  string
	}{
		{"0", 0, "0B"},
		{"none", 0, "0B"},
		{"0B", 0, "0B"},
		{"1B", 1, "1B"},
		{"999B", 999, "999B"},
		{"1000B", 1000, "1KB"},
		{"1024B", 1024, "1KiB"},
		{"1KB", 1e3, "1KB"},
		{"1MB", 1e6, "1MB"},
		{"1GB", 1e9, "1GB"},
		{"1TB", 1e12, "1TB"},
		{"256MiB", 256 << 20, "256MiB"},
		{"1024GiB", 1 << 40, "1TiB"},
		{"8388607TiB", 8388607 << 40, "8388607TiB"},
		{"9223372036854775807B", math.MaxInt64, "9223372036854775807B"},
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(tt.in)); err != nil || s != tt.want {
			t.Errorf("%s = %d, %v; want %d", tt.in, s, err, tt.want)
		}
		if s.String() != tt.out {
			t.Errorf("%d = %s, want %s", int64(s), s, tt.out)
		}
	}
	for in, want := range map[string]string{
		"1048576":              "1048576 has no unit; write it as in 256MiB, 1GB or 128B",
		"":                     `must be a size such as 256MiB, 1GB or 128B, not ""`,
		"MiB":                  `must be a size such as 256MiB, 1GB or 128B, not "MiB"`,
		"256 MiB":              `must be a size such as 256MiB, 1GB or 128B, not "256 MiB"`,
		"256M":                 `must be a size such as 256MiB, 1GB or 128B, not "256M"`,
		"256mib":               `must be a size such as 256MiB, 1GB or 128B, not "256mib"`,
		"1.5GiB":               `must be a size such as 256MiB, 1GB or 128B, not "1.5GiB"`,
		"-1B":                  `must be a size such as 256MiB, 1GB or 128B, not "-1B"`,
		"8388608TiB":           `must be a size such as 256MiB, 1GB or 128B, not "8388608TiB"`,
		"9223372036854775808B": `must be a size such as 256MiB, 1GB or 128B, not "9223372036854775808B"`,
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
		out  string
	}{
		{"0", 0, "0s"},
		{"off", 0, "0s"},
		{"0s", 0, "0s"},
		{"500ms", 500 * time.Millisecond, "500ms"},
		{"30s", 30 * time.Second, "30s"},
		{"90s", 90 * time.Second, "1m30s"},
		{"5m", 5 * time.Minute, "5m"},
		{"10m", 10 * time.Minute, "10m"},
		{"72h", 72 * time.Hour, "72h"},
		{"1h30m", 90 * time.Minute, "1h30m"},
		{"1h10s", time.Hour + 10*time.Second, "1h0m10s"},
	} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(tt.in)); err != nil || time.Duration(d) != tt.want {
			t.Errorf("%s = %v, %v; want %v", tt.in, d, err, tt.want)
		}
		if d.String() != tt.out {
			t.Errorf("%d = %s, want %s", int64(d), d, tt.out)
		}
	}
	for in, want := range map[string]string{
		"5":   "5 has no unit; write it as in 30s, 5m or 72h",
		"":    `must be a duration such as 30s, 5m or 72h, not ""`,
		"7d":  `must be a duration such as 30s, 5m or 72h, not "7d"`,
		"-1s": `must be a duration such as 30s, 5m or 72h, not "-1s"`,
	} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for in, want := range map[string]config.Percent{"0": 0, "none": 0, "0%": 0, "10%": 10, "99%": 99} {
		var p config.Percent
		if err := p.UnmarshalText([]byte(in)); err != nil || p != want {
			t.Errorf("%s = %v, %v; want %v", in, p, err, want)
		}
	}
	for in, want := range map[string]string{
		"10":    "10 has no unit; write 10%",
		"":      `must be a percentage from 0% to 99%, not ""`,
		"100%":  `must be a percentage from 0% to 99%, not "100%"`,
		"-1%":   `must be a percentage from 0% to 99%, not "-1%"`,
		"1.5%":  `must be a percentage from 0% to 99%, not "1.5%"`,
		"10 %":  `must be a percentage from 0% to 99%, not "10 %"`,
		"10 GB": `must be a percentage from 0% to 99%, not "10 GB"`,
	} {
		var p config.Percent
		if err := p.UnmarshalText([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}
