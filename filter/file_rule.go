package filter

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// ownRule is a rule as the filter file has it.
type ownRule struct {
	Number           int          `yaml:"number"`
	Action           action       `yaml:"action"`
	Direction        direction    `yaml:"direction"`
	Protocol         *protocol    `yaml:"protocol"`
	Source           netip.Prefix `yaml:"source"`
	Destination      netip.Prefix `yaml:"destination"`
	SourcePorts      ports        `yaml:"source_ports"`
	DestinationPorts ports        `yaml:"destination_ports"`
	Description      string       `yaml:"description"`
}

func (r *ownRule) rule() Rule {
	rule := Rule{
		Number:           r.Number,
		Action:           Action(r.Action),
		Direction:        packet.Direction(r.Direction),
		Protocol:         AllProtocols,
		Source:           r.Source,
		Destination:      r.Destination,
		SourcePorts:      Ports(r.SourcePorts),
		DestinationPorts: Ports(r.DestinationPorts),
		Description:      r.Description,
	}
	if r.Protocol != nil {
		rule.Protocol = int(*r.Protocol)
	}
	return rule
}

// ports finds a rule that names ports of a protocol whose ports do not count:
// it would never match.
func (c *checker) ports(at string, r *ownRule) {
	if r.Protocol == nil || *r.Protocol == packet.ProtocolTCP || *r.Protocol == packet.ProtocolUDP {
		return
	}
	for _, end := range []struct {
		key   string
		ports ports
	}{{"source_ports", r.SourcePorts}, {"destination_ports", r.DestinationPorts}} {
		if end.ports != (ports{}) {
			c.errorf(at+"."+end.key, "only tcp and udp have ports that count; remove them, or name one of these")
		}
	}
}

// The values of a rule as they are written.
type (
	action    Action
	direction packet.Direction
	protocol  uint8
	ports     Ports
)

// UnmarshalText reads accept or reject.
func (a *action) UnmarshalText(text []byte) error {
	for _, known := range []Action{Accept, Reject} {
		if string(text) == known.String() {
			*a = action(known)
			return nil
		}
	}
	return errors.New("must be accept or reject")
}

// UnmarshalText reads ingress or egress.
func (d *direction) UnmarshalText(text []byte) error {
	for _, known := range []packet.Direction{packet.Ingress, packet.Egress} {
		if string(text) == known.String() {
			*d = direction(known)
			return nil
		}
	}
	return errors.New("must be ingress or egress")
}

// protocols are the names a rule may use (IANA, "Protocol Numbers").
var protocols = map[string]protocol{
	"icmp": packet.ProtocolICMP, "igmp": 2, "tcp": packet.ProtocolTCP, "udp": packet.ProtocolUDP,
	"gre": 47, "esp": 50, "ah": 51, "icmpv6": packet.ProtocolICMPv6, "sctp": packet.ProtocolSCTP,
}

// protocolName returns the name of a rule's protocol, or its number.
func protocolName(number int) string {
	if number == AllProtocols {
		return "all"
	}
	for name, known := range protocols {
		if int(known) == number {
			return name
		}
	}
	return strconv.Itoa(number)
}

// UnmarshalText reads a name, or a number of 0 to 255.
func (p *protocol) UnmarshalText(text []byte) error {
	if known, ok := protocols[string(text)]; ok {
		*p = known
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return errors.New("must be tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, igmp or a number of 0 to 255; without the key every protocol matches")
	}
	*p = protocol(n)
	return nil
}

// UnmarshalText reads 443 or 8000-8999.
func (p *ports) UnmarshalText(text []byte) error {
	first, last, ranged := strings.Cut(string(text), "-")
	if !ranged {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	switch {
	case err != nil || err2 != nil:
		return errors.New("must be a port or ports such as 443 or 8000-8999, 0 to 65535")
	case to == 0 && from == 0:
		return errors.New("port 0 is nobody's; without the key every port matches")
	}
	*p = ports{uint16(from), uint16(to)}
	return nil
}
