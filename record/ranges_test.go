package record

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

func TestService(t *testing.T) {
	r, err := LoadRanges("testdata/ip-ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, addr, want string }{
		{"before the first", "0.0.0.0", ""},
		{"before a range", "198.51.99.255", ""},
		{"EC2 goes before AMAZON", "198.51.100.0", "EC2"},
		{"before a range inside", "198.51.100.63", "EC2"},
		{"S3 goes before EC2 of the same prefix", "198.51.100.64", "S3"},
		{"and before a longer one of EC2", "198.51.100.80", "S3"},
		{"behind the longer one", "198.51.100.96", "S3"},
		{"last of a range inside", "198.51.100.127", "S3"},
		{"EC2 goes before a longer AMAZON", "198.51.100.128", "EC2"},
		{"last of a range", "198.51.100.255", "EC2"},
		{"behind a range", "198.51.101.0", ""},
		{"the alphabet decides", "203.0.113.0", "CLOUDFRONT"},
		{"the longer one decides", "203.0.113.32", "ROUTE53_HEALTHCHECKS"},
		{"last of the longer one", "203.0.113.35", "ROUTE53_HEALTHCHECKS"},
		{"behind the longer one", "203.0.113.36", "CLOUDFRONT"},
		{"last address of IPv4", "255.255.255.255", "AMAZON"},
		{"IPv6 before", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", ""},
		{"IPv6", "2001:db8::", "AMAZON"},
		{"IPv6 inside", "2001:db8:10ff:ffff:ffff:ffff:ffff:ffff", "DYNAMODB"},
		{"IPv6 behind the inside", "2001:db8:1100::", "AMAZON"},
		{"last address of IPv6", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "AMAZON"},
		{"unspecified", "::", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := r.Service(packet.AddrFrom(netip.MustParseAddr(tt.addr))); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.addr, got, tt.want)
			}
		})
	}
	if got := (*Ranges)(nil).Service(packet.Addr{}); got != "" {
		t.Errorf("no ranges: got %q", got)
	}
	a := packet.AddrFrom(netip.MustParseAddr("203.0.113.33"))
	if n := testing.AllocsPerRun(100, func() { r.Service(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLoadRangesErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", ":1:1: unexpected end of JSON input; download the file again"},
		{"cut", "{\n  \"prefixes\": [\n", ":2:16: unexpected end of JSON input; download the file again"},
		{"not JSON", "{\n <html>", ":2:2: invalid character '<' looking for beginning of object key string; download the file again"},
		{"another JSON", "{}", ": has no prefixes; it must be AWS's ip-ranges.json"},
		{"list", `[{"ip_prefix": "192.0.2.0/24"}]`, ":1:1: not AWS's ip-ranges.json: unexpected array; download the file again"},
		{"empty list", "\n[]", ":2:1: not AWS's ip-ranges.json: unexpected array; download the file again"},
		{"null", "null", ": has no prefixes; it must be AWS's ip-ranges.json"},
		{"prefixes a number", `{"prefixes": 3}`, ":1:14: not AWS's ip-ranges.json: unexpected number in prefixes; download the file again"},
		{"a list of strings", `{"prefixes": ["192.0.2.0/24"]}`, ":1:28: not AWS's ip-ranges.json: unexpected string in prefixes; download the file again"},
		{"a prefix of numbers", `{"ipv6_prefixes": [{"ipv6_prefix": []}]}`, ":1:36: not AWS's ip-ranges.json: unexpected array in ipv6_prefixes.ipv6_prefix; download the file again"},
		{"no prefix", `{"prefixes": [{"service": "S3"}]}`, `: prefixes[0]: "" is not a prefix of its family`},
		{"no length", `{"prefixes": [{"ip_prefix": "192.0.2.0", "service": "S3"}]}`, `: prefixes[0]: "192.0.2.0" is not a prefix of its family`},
		{"too long", `{"prefixes": [{"ip_prefix": "192.0.2.0/33", "service": "S3"}]}`, `: prefixes[0]: "192.0.2.0/33" is not a prefix of its family`},
		{"IPv6 among IPv4", `{"prefixes": [{"ip_prefix": "2001:db8::/32", "service": "S3"}]}`, `: prefixes[0]: "2001:db8::/32" is not a prefix of its family`},
		{"IPv4 among IPv6", `{"ipv6_prefixes": [{"ipv6_prefix": "192.0.2.0/24", "service": "S3"}]}`, `: ipv6_prefixes[0]: "192.0.2.0/24" is not a prefix of its family`},
		{"mapped", `{"ipv6_prefixes": [{"ipv6_prefix": "::ffff:192.0.2.0/120", "service": "S3"}]}`, `: ipv6_prefixes[0]: "::ffff:192.0.2.0/120" is not a prefix of its family`},
		{"no service", `{"prefixes": [{"ip_prefix": "192.0.2.0/24"}]}`, `: prefixes[0]: 192.0.2.0/24 has no service`},
		{"too large", strings.Repeat(" ", maxRanges+1), ": has more than 16 MiB; it must be AWS's ip-ranges.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ip-ranges.json")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadRanges(path)
			if err == nil || err.Error() != path+tt.want {
				t.Errorf("error %v\nwant  %s", err, path+tt.want)
			}
		})
	}
	none := filepath.Join(t.TempDir(), "none")
	want := "ip ranges: open " + none + ": no such file or directory; download https://ip-ranges.amazonaws.com/ip-ranges.json, or remove flows.ip_ranges"
	if _, err := LoadRanges(none); err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// FuzzParseRanges: a file that is accepted gives the first and last address of
// each prefix, and those around it, the service that a search through all
// prefixes gives. The seeds are small, since the fuzzer shrinks each new input
// before it goes on.
func FuzzParseRanges(f *testing.F) {
	f.Add([]byte(`{"prefixes": [{"ip_prefix": "0.0.0.0/0", "service": "A"}], "ipv6_prefixes": [{"ipv6_prefix": "::/0", "service": "B"}]}`))
	f.Add([]byte(`{"prefixes": [{"ip_prefix": "10.0.0.1/8", "service": "A"}, {"ip_prefix": "10.0.0.1/32", "service": "EC2"}]}`))
	f.Add([]byte(`{"prefixes": [{"ip_prefix": "10.0.0.1/`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRanges(text)
		if (r == nil) != (err != nil) {
			t.Fatalf("ranges %v with error %v", r, err)
		}
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		var d document
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		var all []entry
		for _, p := range d.Prefixes {
			all = append(all, entry{netip.MustParsePrefix(p.Prefix).Masked(), p.Service})
		}
		for _, p := range d.IPv6Prefixes {
			all = append(all, entry{netip.MustParsePrefix(p.Prefix).Masked(), p.Service})
		}
		for _, e := range all[:min(len(all), 64)] {
			first := e.prefix.Addr()
			for _, a := range []netip.Addr{first.Prev(), first, first.Next(), last(e.prefix), last(e.prefix).Next()} {
				if !a.IsValid() {
					continue
				}
				if got, want := r.Service(packet.AddrFrom(a)), search(all, a); got != want {
					t.Errorf("%s: got %q, want %q", a, got, want)
				}
			}
		}
	})
}

// An entry is one of the file.
type entry struct {
	prefix  netip.Prefix
	service string
}

// search goes by the words of Ranges.Service, through all entries.
func search(all []entry, a netip.Addr) string {
	// IPv4 addresses are ::ffff:0:0/96 to an IPv6 prefix.
	contains := func(p netip.Prefix) bool {
		return p.Contains(a) || p.Addr().Is6() && p.Contains(netip.AddrFrom16(a.As16())) || p.Addr().Is4() && a.Is4In6() && p.Contains(a.Unmap())
	}
	bits := func(p netip.Prefix) int { return p.Bits() + 128 - p.Addr().BitLen() }
	var best *entry
	for i := range all {
		e := &all[i]
		if !contains(e.prefix) {
			continue
		}
		if best == nil {
			best = e
			continue
		}
		switch by := rank(e.service) - rank(best.service); {
		case by > 0,
			by == 0 && bits(e.prefix) > bits(best.prefix),
			by == 0 && bits(e.prefix) == bits(best.prefix) && e.service < best.service:
			best = e
		}
	}
	if best == nil {
		return ""
	}
	return best.service
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
