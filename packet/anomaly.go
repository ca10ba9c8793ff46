package packet

// An Anomaly names what decode could not read in a frame that is delivered all
// the same. The zero value means that it read everything it knows. The set is
// closed: each value is a metric label and a key of the summary.
type Anomaly uint8

// The anomalies of a frame, outermost layer first.
const (
	NoAnomaly        Anomaly = iota
	EthernetShort            // fewer than 14 bytes
	VLANShort                // 802.1Q tag cut
	VLANDepth                // more than two 802.1Q tags
	UnknownEtherType         // an EtherType decode does not read
	ARPShort                 // ARP message cut
	ARPFormat                // ARP for other than IPv4 over Ethernet
	IPv4Short                // fewer than 20 bytes, or options cut
	IPv4Version              // version field is not 4
	IPv4HeaderLength         // header length below 20 bytes
	IPv4TotalLength          // total length below the header length, and not 0
	IPv6Short                // fewer than 40 bytes
	IPv6Version              // version field is not 6
	IPv6Extension            // extension header cut, more than 8 of them, or a second fragment header
	UnknownProtocol          // an IP protocol decode does not read
	TCPShort                 // fewer than 20 bytes, or options cut
	TCPOffset                // data offset below 20 bytes
	UDPShort                 // fewer than 8 bytes
	UDPLength                // length field below 8, and not 0
	ICMPShort                // fewer than 8 bytes, ICMP or ICMPv6
	SCTPShort                // fewer than 12 bytes
	NumAnomalies
)

var anomalyNames = [NumAnomalies]string{
	NoAnomaly:        "none",
	EthernetShort:    "ethernet_short",
	VLANShort:        "vlan_short",
	VLANDepth:        "vlan_depth",
	UnknownEtherType: "unknown_ethertype",
	ARPShort:         "arp_short",
	ARPFormat:        "arp_format",
	IPv4Short:        "ipv4_short",
	IPv4Version:      "ipv4_version",
	IPv4HeaderLength: "ipv4_header_length",
	IPv4TotalLength:  "ipv4_total_length",
	IPv6Short:        "ipv6_short",
	IPv6Version:      "ipv6_version",
	IPv6Extension:    "ipv6_extension",
	UnknownProtocol:  "unknown_protocol",
	TCPShort:         "tcp_short",
	TCPOffset:        "tcp_offset",
	UDPShort:         "udp_short",
	UDPLength:        "udp_length",
	ICMPShort:        "icmp_short",
	SCTPShort:        "sctp_short",
}

// String returns the anomaly's word as metrics and the summary use it.
func (a Anomaly) String() string { return anomalyNames[a] }
