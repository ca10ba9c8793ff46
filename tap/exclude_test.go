package tap

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/packet"
)

// ip returns a frame with an IP packet.
func ip(src, dst string, protocol byte, payload []byte) []byte {
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if from.Is4() {
		b = append(b, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0)
		binary.BigEndian.PutUint16(b[16:], uint16(ipv4Len+len(payload)))
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64)
		binary.BigEndian.PutUint16(b[18:], uint16(len(payload)))
	}
	return append(append(append(b, from.AsSlice()...), to.AsSlice()...), payload...)
}

func udp(src, dst string, from, to uint16) []byte {
	return ip(src, dst, packet.ProtocolUDP, portPair(from, to))
}

func portPair(from, to uint16) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, from), to)
	return append(b, 0, 8, 0, 0)
}

// part makes a frame of IPv4 a fragment.
func part(frame []byte, field uint16) []byte {
	binary.BigEndian.PutUint16(frame[20:], field)
	return frame
}

// options gives a frame of IPv4 some.
func options(frame []byte) []byte {
	frame[14] = 0x47
	return append(frame[:34:34], append(make([]byte, 8), frame[34:]...)...)
}

// quote returns an ICMP error about the packet of a frame.
func quote(src, dst string, kind byte, frame []byte) []byte {
	protocol := byte(packet.ProtocolICMP)
	if !netip.MustParseAddr(src).Is4() {
		protocol = packet.ProtocolICMPv6
	}
	return ip(src, dst, protocol, append([]byte{kind, 3, 0, 0, 0, 0, 0, 0}, frame[packet.EthernetLen:]...))
}

func TestExclusions(t *testing.T) {
	const me, you, other = "10.0.1.2", "10.0.9.9", "10.0.3.3"
	const me6, you6, other6 = "fd00:1::2", "fd00:9::9", "fd00:1::3"
	tcp, icmp6 := byte(packet.ProtocolTCP), byte(packet.ProtocolICMPv6)
	fragment := func(src, dst string, protocol byte) []byte {
		return ip(src, dst, fragment6, append([]byte{protocol, 0, 0, 1, 0, 0, 0, 1}, portPair(5, 4789)...))
	}
	arp := ip(me, other, tcp, make([]byte, 20))
	arp[12], arp[13] = 8, 6
	for name, tt := range map[string]struct {
		frame []byte
		take4 bool // with a collector of IPv4
		take6 bool // with one of IPv6
	}{
		"TCP":                     {ip(me, other, tcp, make([]byte, 20)), true, true},
		"TCP to the collector":    {ip(me, you, tcp, portPair(9, 5000)), true, true},
		"UDP":                     {udp(me, other, 5, 53), true, true},
		"ICMP echo":               {ip(me, you, 1, make([]byte, 8)), true, true},
		"own":                     {udp(me, you, 65408, 5000), false, true},
		"own, with options":       {options(udp(me, you, 65408, 5000)), false, true},
		"an answer":               {udp(you, me, 5000, 65408), false, true},
		"VXLAN to the collector":  {udp(me, you, 65408, 4789), false, true},
		"VXLAN to another":        {udp(me, other, 65408, 4789), true, true},
		"UDP to the collector":    {udp(me, you, 999, 8125), true, true},
		"its first fragment":      {part(udp(me, you, 65408, 8125), 0x2000), false, true},
		"its last fragment":       {part(udp(me, you, 0, 0), 0x0010), false, true},
		"another's last fragment": {part(udp(me, other, 67, 68), 0x0010), true, true},
		"DHCP":                    {udp("0.0.0.0", "255.255.255.255", 68, 67), false, false},
		"DHCP's answer":           {udp("10.0.1.1", me, 67, 68), false, false},
		"port 67 to another":      {udp(me, other, 9000, 67), true, true},
		"metadata":                {ip(me, "169.254.169.254", tcp, portPair(9, 80)), false, false},
		"metadata's answer":       {ip("169.254.169.254", me, tcp, portPair(80, 9)), false, false},
		"ECS metadata":            {ip(me, "169.254.170.2", tcp, portPair(9, 80)), false, false},
		"time":                    {udp(me, "169.254.169.123", 9, 123), false, false},
		"time of another":         {udp(me, "78.46.93.39", 9, 123), true, true},
		"Windows activation":      {ip(me, "169.254.169.250", tcp, portPair(9, 1688)), false, false},
		"Amazon DNS":              {udp(me, "169.254.169.253", 9, 53), true, true},
		"unreachable own":         {quote(you, me, 3, udp(me, you, 65408, 5000)), false, true},
		"unreachable own, far":    {quote("10.0.1.1", me, 3, udp(me, you, 65408, 4789)), false, true},
		"too big, own":            {quote("10.0.1.1", me, 3, options(udp(me, you, 65408, 5000))), false, true},
		"unreachable other":       {quote(other, me, 3, udp(me, other, 65408, 5000)), true, true},
		"unreachable other port":  {quote(you, me, 3, udp(me, you, 9, 53)), true, true},
		"unreachable TCP":         {quote(you, me, 3, ip(me, you, tcp, portPair(9, 5000))), true, true},
		"ARP":                     {arp, false, false},
		"short":                   {arp[:13], false, false},

		"IPv6 TCP":                    {ip(me6, other6, tcp, make([]byte, 20)), true, true},
		"IPv6 own":                    {udp(me6, you6, 65408, 5000), true, false},
		"IPv6 answer":                 {udp(you6, me6, 5000, 65408), true, false},
		"IPv6 VXLAN to the collector": {udp(me6, you6, 65408, 4789), true, false},
		"IPv6 UDP to the collector":   {udp(me6, you6, 999, 8125), true, true},
		"IPv6 UDP, first word alike":  {udp(me6, "fd00:9::8", 65408, 5000), true, true},
		"IPv6 fragment of own":        {fragment(me6, you6, 17), true, false},
		"IPv6 fragment of TCP":        {fragment(me6, you6, tcp), true, true},
		"IPv6 fragment, another":      {fragment(me6, other6, 17), true, true},
		"IPv6 DHCP":                   {udp("fe80::1", "ff02::1:2", 546, 547), false, false},
		"IPv6 metadata":               {ip(me6, "fd00:ec2::254", tcp, portPair(9, 80)), false, false},
		"IPv6 time":                   {udp(me6, "fd00:ec2::123", 9, 123), false, false},
		"IPv6 Amazon DNS":             {udp(me6, "fd00:ec2::253", 9, 53), true, true},
		"IPv6 metadata, almost":       {ip(me6, "fd00:ec2:1::254", tcp, portPair(9, 80)), true, true},
		"IPv6 unreachable own":        {quote(you6, me6, 1, udp(me6, you6, 65408, 5000)), true, false},
		"IPv6 too big, own":           {quote("fd00:1::1", me6, 2, udp(me6, you6, 65408, 4789)), true, false},
		"IPv6 unreachable other":      {quote(other6, me6, 1, udp(me6, other6, 9, 5000)), true, true},
		"IPv6 unreachable port":       {quote(you6, me6, 1, udp(me6, you6, 9, 53)), true, true},
		"IPv6 echo":                   {ip(me6, you6, icmp6, append([]byte{128}, make([]byte, 60)...)), true, true},
		"IPv6 neighbour":              {ip(me6, you6, icmp6, append([]byte{135}, make([]byte, 23)...)), true, true},
	} {
		for collector, want := range map[string]bool{"10.0.9.9:5000": tt.take4, "[::ffff:10.0.9.9]:5000": tt.take4, "[fd00:9::9]:5000": tt.take6} {
			program, err := exclusions(netip.MustParseAddrPort(collector))
			if err != nil {
				t.Fatal(err)
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			n, err := vm.Run(tt.frame)
			if err != nil {
				t.Fatal(err)
			}
			if (n > 0) != want || n > 0 && n < 1<<16 {
				t.Errorf("collector %s: %s: takes %d bytes, want any: %v", collector, name, n, want)
			}
		}
	}
}

func FuzzExclusions(f *testing.F) {
	f.Add(udp("10.0.1.2", "10.0.9.9", 65408, 4789))
	f.Add(quote("fd00:9::9", "fd00:1::2", 1, udp("fd00:1::2", "fd00:9::9", 9, 4789)))
	var machines []*bpf.VM
	for _, collector := range []string{"10.0.9.9:4789", "[fd00:9::9]:4789"} {
		program, err := exclusions(netip.MustParseAddrPort(collector))
		if err != nil {
			f.Fatal(err)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			f.Fatal(err)
		}
		machines = append(machines, vm)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, vm := range machines {
			if _, err := vm.Run(frame); err != nil {
				t.Fatal(err)
			}
		}
	})
}
