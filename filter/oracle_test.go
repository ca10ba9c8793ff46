package filter_test

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"testing"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// A sample is a packet as whoever sent it knows it.
type sample struct {
	session   *packet.Session
	direction packet.Direction
	src, dst  netip.Addr
	protocol  int
	ports     [2]int // -1 where the packet does not show them
	form      string // whole, first fragment, later fragment or cut
}

// An outcome is what the oracle says, with the reason.
type outcome struct {
	accept bool
	rule   int // index, or -1 by default, or -2 by the network service

	family bool // a rule before would have matched but for the family
	hidden bool // a rule before would have matched but for ports that it names and the packet does not show
	edge   bool // the deciding rule's range ends at a port of the packet
	beside bool // a rule before would have matched if its range were one port longer
}

// oracle evaluates a filter as AWS's documentation says, rule after rule, on
// addresses and numbers as they come. It knows nothing of the program.
func oracle(f *filter.Filter, p *sample) outcome {
	switch p.direction {
	case packet.Ingress, packet.Egress:
		return oracleIn(f, p, p.direction)
	}
	ingress, egress := oracleIn(f, p, packet.Ingress), oracleIn(f, p, packet.Egress)
	if !ingress.accept && egress.accept {
		return egress
	}
	return ingress
}

func oracleIn(f *filter.Filter, p *sample, direction packet.Direction) (o outcome) {
	if oracleDNS(p) {
		return outcome{accept: f.AmazonDNS, rule: -2}
	}
	var turns []int
	for i, r := range f.Rules {
		if r.Direction == direction {
			turns = append(turns, i)
		}
	}
	sort.Slice(turns, func(i, j int) bool { return f.Rules[turns[i]].Number < f.Rules[turns[j]].Number })
	for _, i := range turns {
		r := f.Rules[i]
		if r.Protocol != -1 && r.Protocol != p.protocol {
			continue
		}
		if r.Source.Addr().Is4() != p.src.Is4() {
			o.family = o.family || r.Source.Bits() == 0 && r.Destination.Bits() == 0
			continue
		}
		if !r.Source.Contains(p.src) || !r.Destination.Contains(p.dst) {
			continue
		}
		fits, near, edge := true, true, false
		for end, want := range []filter.Ports{r.SourcePorts, r.DestinationPorts} {
			if want == (filter.Ports{}) {
				continue
			}
			from, to, port := int(want.From), int(want.To), p.ports[end]
			tells := (p.protocol == 6 || p.protocol == 17) && port >= 0
			fits = fits && tells && port >= from && port <= to
			near = near && tells && port >= from-1 && port <= to+1
			edge = edge || port == from || port == to
			o.hidden = o.hidden || (p.protocol == 6 || p.protocol == 17) && port < 0
		}
		if fits {
			o.accept, o.rule, o.edge = r.Action == filter.Accept, i, edge
			return o
		}
		o.beside = o.beside || near
	}
	o.rule = -1
	return o
}

// oracleDNS: the resolver is at 169.254.169.253, fd00:ec2::253, base+2 of the
// VPC's primary CIDR and base+2 of each subnet; port 53 of TCP and UDP is its.
// Of a packet that shows no ports, the address tells.
func oracleDNS(p *sample) bool {
	if p.protocol != 6 && p.protocol != 17 {
		return false
	}
	resolvers := []netip.Addr{netip.MustParseAddr("169.254.169.253"), netip.MustParseAddr("fd00:ec2::253")}
	w := &p.session.Workload
	if len(w.VPCCIDRs) > 0 {
		resolvers = append(resolvers, w.VPCCIDRs[0].Addr().Next().Next())
	}
	for _, subnet := range w.SubnetCIDRs {
		resolvers = append(resolvers, subnet.Addr().Next().Next())
	}
	at := func(a netip.Addr, port int) bool {
		return slices.Contains(resolvers, a) && (port == 53 || port == -1)
	}
	return at(p.src, p.ports[0]) || at(p.dst, p.ports[1])
}

// frame writes the packet as Ethernet has it, and decodes that.
func (p *sample) frame() *packet.Frame {
	var data []byte
	transport := make([]byte, 20)
	transport[12] = 5 << 4 // TCP's offset
	binary.BigEndian.PutUint16(transport, uint16(p.ports[0]))
	binary.BigEndian.PutUint16(transport[2:], uint16(p.ports[1]))
	if p.protocol == 17 {
		binary.BigEndian.PutUint16(transport[4:], 20)
	}
	if p.form == "cut" {
		transport = transport[:3]
	}
	var fragment uint16 // in units of 8 bytes, the flag apart
	if p.form == "later fragment" {
		fragment = 185
	}
	more := p.form == "first fragment"
	if p.src.Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, byte(p.protocol)
		binary.BigEndian.PutUint16(ip[2:], 40)
		if more {
			fragment |= 1 << 13
		}
		binary.BigEndian.PutUint16(ip[6:], fragment)
		copy(ip[12:], p.src.AsSlice())
		copy(ip[16:], p.dst.AsSlice())
		data = slices.Concat(make([]byte, 12), []byte{0x08, 0x00}, ip, transport)
	} else {
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, byte(p.protocol), 64
		binary.BigEndian.PutUint16(ip[4:], 20)
		copy(ip[8:], p.src.AsSlice())
		copy(ip[24:], p.dst.AsSlice())
		if more || fragment != 0 {
			extension := []byte{byte(p.protocol), 0, 0, 0, 0, 0, 0, 1}
			ip[5], ip[6] = 28, 44
			offset := fragment << 3
			if more {
				offset |= 1
			}
			binary.BigEndian.PutUint16(extension[2:], offset)
			ip = append(ip, extension...)
		}
		data = slices.Concat(make([]byte, 12), []byte{0x86, 0xdd}, ip, transport)
	}
	f := &packet.Frame{Data: data, Length: len(data), Session: p.session, Direction: p.direction}
	decode.Decode(f)
	return f
}

// A dice draws samples and filters from few values, so that they often meet.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

var (
	dice4 = []netip.Addr{
		netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.1.2"), netip.MustParseAddr("100.64.0.2"),
		netip.MustParseAddr("169.254.169.253"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("10.0.1.163"),
		netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("203.0.113.9"),
	}
	dice6 = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::253"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:0:1::2"),
		netip.MustParseAddr("2001:db8::163"), netip.MustParseAddr("::"), netip.MustParseAddr("::ffff:10.0.0.2"),
		netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), netip.MustParseAddr("2001:db8:0:1:8000::163"),
	}
	dicePorts = []int{0, 1, 52, 53, 54, 79, 80, 81, 442, 443, 444, 1023, 1024, 65534, 65535}
	bare      = &packet.Session{ID: 2, Name: "bare", VNI: 8}
	six       = &packet.Session{ID: 3, Name: "six", VNI: 9, Workload: packet.Workload{
		VPCCIDRs:    []netip.Prefix{netip.MustParsePrefix("2001:db8::/56")},
		SubnetCIDRs: []netip.Prefix{netip.MustParsePrefix("2001:db8:0:1::/64")},
	}}
)

// address draws one of the list, or another in its neighbourhood.
func (d dice) address(list []netip.Addr) netip.Addr {
	a := pick(d, list...)
	if d.IntN(4) > 0 {
		return a
	}
	b := a.AsSlice()
	b[d.IntN(len(b))] ^= 1 << d.IntN(8)
	a, _ = netip.AddrFromSlice(b)
	return a
}

func (d dice) sample() *sample {
	list := dice4
	if d.IntN(2) == 0 {
		list = dice6
	}
	p := &sample{
		session:   pick(d, web, web, bare, six),
		direction: pick(d, packet.Ingress, packet.Ingress, packet.Egress, packet.Egress, packet.DirectionUnknown),
		src:       d.address(list), dst: d.address(list),
		protocol: pick(d, 6, 6, 6, 17, 17, 17, 1, 58, 47, 132),
		ports:    [2]int{pick(d, dicePorts...), pick(d, dicePorts...)},
		form:     pick(d, "whole", "whole", "whole", "whole", "first fragment", "later fragment", "cut"),
	}
	if p.form == "later fragment" || p.form == "cut" {
		p.ports = [2]int{-1, -1}
	}
	return p
}

func (d dice) filter() filter.Filter {
	f := filter.Filter{Name: "dice", AmazonDNS: d.IntN(2) == 0}
	numbers := d.Perm(40)
	for i := range d.IntN(21) {
		r := filter.Rule{
			Number: 1 + numbers[i], Action: pick(d, accept, reject), Direction: pick(d, packet.Ingress, packet.Egress),
			Protocol:         pick(d, -1, -1, 6, 6, 17, 1, 58, 132, 0, 255),
			SourcePorts:      d.ports(),
			DestinationPorts: d.ports(),
		}
		list := dice4
		if d.IntN(2) == 0 {
			list = dice6
		}
		r.Source, r.Destination = d.prefix(list), d.prefix(list)
		f.Rules = append(f.Rules, r)
	}
	return f
}

func (d dice) ports() filter.Ports {
	if d.IntN(2) == 0 {
		return filter.Ports{}
	}
	from, to := pick(d, dicePorts...), pick(d, dicePorts...)
	return filter.Ports{From: uint16(min(from, to)), To: uint16(max(from, to))}
}

// prefix draws one of any length, often with bits beyond it.
func (d dice) prefix(list []netip.Addr) netip.Prefix {
	a := pick(d, list...)
	bits := d.IntN(a.BitLen() + 1)
	if a.Is4In6() {
		a = netip.IPv6Unspecified() // such a rule is an error
	}
	return netip.PrefixFrom(a, pick(d, 0, 0, 0, 0, 0, 0, 0, bits, a.BitLen()))
}

// TestOracle holds the program against the oracle on a million pairs.
func TestOracle(t *testing.T) {
	const filters, packets = 40_000, 25
	d := dice{rand.New(rand.NewPCG(1, 2))}
	seen := make(map[string]int)
	for range filters {
		f := d.filter()
		program, err := f.Compile()
		if err != nil {
			t.Fatal(err)
		}
		for range packets {
			p := d.sample()
			want := oracle(&f, p)
			frame := p.frame()
			got := program.Match(frame)
			if (got.Action == filter.Accept) != want.accept || got.Rule != want.rule {
				t.Fatalf("%+v, want %+v\n%+v\n%+v\nof %+v", got, want, p, frame.Header, f)
			}
			p.count(seen, want)
		}
	}
	total := 0
	for _, name := range []string{"accepted by a rule", "rejected by a rule", "by default", "Amazon DNS accepted", "Amazon DNS refused"} {
		total += seen[name]
	}
	if total != filters*packets {
		t.Errorf("%d outcomes of %d", total, filters*packets)
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%-50s %7d", name, seen[name])
	}
	for _, name := range outcomes {
		if seen[name] < 3000 {
			t.Errorf("%s: %d times, want some thousands", name, seen[name])
		}
	}
}

// outcomes are what the samples must show often.
var outcomes = []string{
	"accepted by a rule", "rejected by a rule", "by default", "Amazon DNS accepted", "Amazon DNS refused",
	"a rule before of another family", "a rule before with ports the packet does not show",
	"decided at the end of a range", "passed over one port beside a range",
	"accepted: ingress", "accepted: egress", "accepted: unknown",
	"accepted: whole", "accepted: first fragment", "accepted: later fragment", "accepted: cut",
	"accepted: IPv4", "accepted: IPv6",
}

func (p *sample) count(seen map[string]int, o outcome) {
	switch {
	case o.rule == -2 && o.accept:
		seen["Amazon DNS accepted"]++
	case o.rule == -2:
		seen["Amazon DNS refused"]++
	case o.rule == -1:
		seen["by default"]++
	case o.accept:
		seen["accepted by a rule"]++
	default:
		seen["rejected by a rule"]++
	}
	for name, is := range map[string]bool{
		"a rule before of another family":                   o.family,
		"a rule before with ports the packet does not show": o.hidden,
		"decided at the end of a range":                     o.edge,
		"passed over one port beside a range":               o.beside,
		"accepted: " + p.direction.String():                 o.accept,
		"accepted: " + p.form:                               o.accept,
		"accepted: IPv4":                                    o.accept && p.src.Is4(),
		"accepted: IPv6":                                    o.accept && p.src.Is6(),
	} {
		if is {
			seen[name]++
		}
	}
}
