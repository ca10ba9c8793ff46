package capture

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestClock(t *testing.T) {
	resolution := func(v byte) option { return option{optionResolution, []byte{v}} }
	offset := func(seconds int64) option {
		return option{optionOffset, big.AppendUint64(nil, uint64(seconds))}
	}
	for _, tt := range []struct {
		name    string
		options []option
		units   uint64
		want    int64
		err     string
	}{
		{"default", nil, uint64(micro / 1000), micro, ""},
		{"seconds", []option{resolution(0)}, uint64(second / 1e9), second, ""},
		{"milliseconds", []option{resolution(3)}, uint64(second / 1e6), second, ""},
		{"nanoseconds", []option{resolution(9)}, uint64(nano), nano, ""},
		{"picoseconds", []option{resolution(12)}, 1_500_000_000_999, 1_500_000_000, ""},
		{"10^-28", []option{resolution(28)}, math.MaxUint64, 1, ""},
		{"10^-29", []option{resolution(29)}, 0, 0, "interface 0: time resolution 0x1d"},
		{"2^0", []option{resolution(0x80)}, uint64(second / 1e9), second, ""},
		{"2^-10", []option{resolution(0x8a)}, uint64(second/1e9)<<10 | 512, second + 5e8, ""},
		{"2^-32", []option{resolution(0xa0)}, uint64(second/1e9)<<32 | 1<<30, second + 25e7, ""},
		{"2^-63", []option{resolution(0xbf)}, 3 << 62, 15e8, ""},
		{"2^-64", []option{resolution(0xc0)}, 0, 0, "interface 0: time resolution 0xc0"},
		{"offset", []option{offset(3600)}, uint64(micro / 1000), micro + 3600e9, ""},
		{"offset back", []option{resolution(9), offset(-1)}, 1e9 + 5, 5, ""},
		{"before 1970", []option{offset(-2)}, 1_000_000, 0, ""},
		{"time too large", []option{resolution(0)}, math.MaxUint64, maxTime, ""},
		{"time and offset too large", []option{resolution(0), offset(4_000_000_000)}, math.MaxUint64, maxTime, ""},
		{"offset too large", []option{offset(math.MaxInt64)}, 0, 0, "interface 0: time offset of 9223372036854775807 s"},
		{"offset too small", []option{offset(math.MinInt64)}, 0, 0, "interface 0: time offset of -9223372036854775808 s"},
		{"options end before", []option{{optionEnd, nil}, resolution(0)}, uint64(micro / 1000), micro, ""},
		{"resolution of 2 bytes is not one", []option{{optionResolution, []byte{9, 9}}}, uint64(micro / 1000), micro, ""},
		{"padding", []option{{2, []byte("a")}, {2, []byte("abcde")}, resolution(9)}, uint64(nano), nano, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := ngFile(big)
			f.iface(1, 0, tt.options...)
			f.enhanced(0, tt.units, samples[0])
			all, err := records(bytes.NewReader(f.b), make([]byte, windowLen))
			if tt.err != "" {
				if !strings.Contains(message(err), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || len(all) != 1 || all[0].time != tt.want {
				t.Errorf("read %+v, %v; want time %d", all, err, tt.want)
			}
		})
	}
	f := ngFile(big)
	f.iface(1, 0, option{2, []byte("name")})
	f.b[28+16+3] = 5 // the length of the option
	if _, err := records(bytes.NewReader(f.b), make([]byte, windowLen)); !strings.Contains(message(err), "option 2 of 5 bytes runs past the block") {
		t.Errorf("option too long: error %v", err)
	}
}
