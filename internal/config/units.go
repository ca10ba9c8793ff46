package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes, not negative. As text it carries a unit, of 1000
// (KB, MB, GB, TB) or of 1024 (KiB, MiB, GiB, TiB), or B; 0, none and off are 0.
type Size int64

// The units of a Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// units are ordered by size, largest first.
var units = []struct {
	name  string
	bytes Size
}{
	{"TiB", 1 << 40}, {"TB", 1e12},
	{"GiB", GiB}, {"GB", 1e9},
	{"MiB", MiB}, {"MB", 1e6},
	{"KiB", KiB}, {"KB", 1e3},
	{"B", 1},
}

// UnmarshalText reads a size such as 256MiB.
func (s *Size) UnmarshalText(text []byte) error {
	if isZero(string(text)) {
		*s = 0
		return nil
	}
	digits := strings.TrimRight(string(text), "BKMGTi")
	n, err := strconv.ParseUint(digits, 10, 63)
	switch unit := string(text[len(digits):]); {
	case err != nil:
	case unit == "":
		return fmt.Errorf("%s has no unit; write it as in 256MiB, 1GB or 128B", digits)
	default:
		for _, u := range units {
			if u.name == unit && n <= uint64(math.MaxInt64/u.bytes) {
				*s = Size(n) * u.bytes
				return nil
			}
		}
	}
	return fmt.Errorf("must be a size such as 256MiB, 1GB or 128B, not %.40q", text)
}

// MarshalText writes s in the largest unit that needs no fraction.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns s as MarshalText writes it.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	for _, u := range units {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	panic("unreachable: a byte is a unit")
}

// A Duration is a span of time, not negative. As text it carries a unit, as in
// 5m or 72h; 0, none and off are 0.
type Duration time.Duration

// UnmarshalText reads a duration such as 5m.
func (d *Duration) UnmarshalText(text []byte) error {
	if isZero(string(text)) {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err == nil && v >= 0 {
		*d = Duration(v)
		return nil
	}
	if _, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		return fmt.Errorf("%s has no unit; write it as in 30s, 5m or 72h", text)
	}
	return fmt.Errorf("must be a duration such as 30s, 5m or 72h, not %.40q", text)
}

// MarshalText writes d without the units that are 0.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns d as MarshalText writes it.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A Percent is a share of a whole, 0 to 99. As text it carries the sign, as in
// 10%; 0, none and off are 0.
type Percent int

// UnmarshalText reads a percentage such as 10%.
func (p *Percent) UnmarshalText(text []byte) error {
	if isZero(string(text)) {
		*p = 0
		return nil
	}
	digits, sign := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case err != nil || n > 99:
		return fmt.Errorf("must be a percentage from 0%% to 99%%, not %.40q", text)
	case !sign:
		return fmt.Errorf("%s has no unit; write %s%%", digits, digits)
	}
	*p = Percent(n)
	return nil
}

// MarshalText writes p with its sign.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String returns p as MarshalText writes it.
func (p Percent) String() string { return strconv.Itoa(int(p)) + "%" }

func isZero(text string) bool { return text == "0" || text == "none" || text == "off" }
