package record

import (
	"encoding/base64"
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// AppendFrame appends the event of a frame, at its time, with what is known of
// its session by now. uid is its event_uid. As that of a flow the event itself
// has less than 5,000 bytes. It does not allocate when dst has room, but for the
// first event of a session.
func (e *Events) AppendFrame(dst []byte, f *Frame, uid []byte) []byte {
	dst = append(appendEpoch(append(dst, `{"time":`...), f.time), e.frame...)
	begin := len(dst)
	for i := range frameKeys {
		k := &frameKeys[i]
		before := len(dst)
		dst = append(dst, k.quote...)
		value := len(dst)
		if dst = k.value(dst, f, &e.config.JSON); len(dst) == value {
			dst = dst[:before]
		}
	}
	dst[begin] = '{'
	return e.end(dst, uid, f.session.Identified())
}

// FrameKeys returns the keys of a frame as an event, in order.
func FrameKeys() []Key {
	var ks []Key
	for i := range frameKeys {
		ks = append(ks, frameKeys[i].Key)
	}
	return slices.Concat(ks, eventEndKeys)
}

// A frameKey is a key of a frame's event. value appends its value, or nothing if
// there is none.
type frameKey struct {
	Key
	value func(dst []byte, f *Frame, o *JSON) []byte
}

func frameKeyOf(name, kind, meaning string, value func(dst []byte, f *Frame, o *JSON) []byte) frameKey {
	return frameKey{quoted(0, []Key{{Name: name, Type: kind, Meaning: meaning}})[0], value}
}

// frameKeys are named as those of flows. There is always one: bytes.
var frameKeys = []frameKey{
	frameKeyOf("protocol", "string", "`ip` or `arp`.", frameProtocol),
	frameKeyOf("src", "string", "IP address of the sender; of ARP that of the message.", frameSrc),
	frameKeyOf("src_ip", "string", "The same.", frameSrc),
	frameKeyOf("src_port", "integer", "Its port; for TCP, UDP and SCTP.", frameSrcPort),
	frameKeyOf("dest", "string", "IP address of the receiver; of ARP that of the target.", frameDest),
	frameKeyOf("dest_ip", "string", "The same.", frameDest),
	frameKeyOf("dest_port", "integer", "Its port; for TCP, UDP and SCTP.", frameDestPort),
	frameKeyOf("transport", "string", "Protocol above IP, in lower case; its number if it is none of the usual ones.", frameTransport),
	frameKeyOf("protocol_version", "string", "`ipv4` or `ipv6`.", frameVersion),
	frameKeyOf("direction", "string", "At the mirrored interface: `inbound` or `outbound`.", frameDirection),
	frameKeyOf("bytes", "integer", "Length of the frame without its checksum, also where bytes of it are missing.", frameLength),
	frameKeyOf("payload_bytes", "integer", "Length of the payload.", framePayloadLength),
	frameKeyOf("ether_type", "string", "EtherType where there is no header of IP or ARP, such as `0x88cc`.", frameEtherType),
	frameKeyOf("vlan", "integer", "Identifier of the outer VLAN tag.", frameVLAN),
	frameKeyOf("inner_vlan", "integer", "That of the inner one.", frameInnerVLAN),
	frameKeyOf("ip_id", "integer", "Identification of the IP packet; of IPv6 that of fragments.", frameID),
	frameKeyOf("fragment_offset_bytes", "integer", "Offset of a fragment, 0 of the first.", frameFragment),
	frameKeyOf("icmp_type", "integer", "Type of the ICMP or ICMPv6 message.", frameICMPType),
	frameKeyOf("icmp_code", "integer", "Its code.", frameICMPCode),
	frameKeyOf("tcp_flag", "array of strings", "Those of `SYN`, `ACK`, `FIN`, `RST`, `URG`, `PSH` that are set; TCP only.", frameTCPFlag),
	frameKeyOf("anomaly", "string", "What could not be read, as in the summary's `anomalies`.", frameAnomaly),
	frameKeyOf("truncated_length_bytes", "integer", "How much of the frame arrived, if bytes are missing.", frameTruncated),
	frameKeyOf("truncation_cause", "string", "What likely cut it.", frameCause),
	frameKeyOf("outer_source", "string", "Outer source address.", frameOuterSource),
	frameKeyOf("community_id", "string", "Community ID, version 1 with seed 0; absent where a fragment does not tell it.", frameCommunityID),
	frameKeyOf("payload", "string", "The payload's first bytes in base64, if `frames.payload` asks for them.", framePayload),
}

func frameProtocol(dst []byte, f *Frame, _ *JSON) []byte {
	switch {
	case f.header.Version != 0:
		return append(dst, `"ip"`...)
	case f.header.Network != 0:
		return append(dst, `"arp"`...)
	}
	return dst
}

func frameSrc(dst []byte, f *Frame, _ *JSON) []byte { return f.appendAddr(dst, f.header.Src) }

func frameDest(dst []byte, f *Frame, _ *JSON) []byte { return f.appendAddr(dst, f.header.Dst) }

func (f *Frame) appendAddr(dst []byte, a packet.Addr) []byte {
	if f.header.Network == 0 {
		return dst
	}
	return append(appendAddr(append(dst, '"'), a), '"')
}

func frameSrcPort(dst []byte, f *Frame, _ *JSON) []byte { return f.appendPort(dst, f.header.SrcPort) }

func frameDestPort(dst []byte, f *Frame, _ *JSON) []byte { return f.appendPort(dst, f.header.DstPort) }

func (f *Frame) appendPort(dst []byte, port uint16) []byte {
	if f.header.Transport != 0 && hasPorts(f.header.Protocol) {
		return appendUint(dst, port)
	}
	return dst
}

func frameTransport(dst []byte, f *Frame, _ *JSON) []byte {
	if f.header.Version == 0 {
		return dst
	}
	return append(dst, transports[f.header.Protocol]...)
}

func frameVersion(dst []byte, f *Frame, _ *JSON) []byte {
	switch f.header.Version {
	case 4:
		return append(dst, `"ipv4"`...)
	case 6:
		return append(dst, `"ipv6"`...)
	}
	return dst
}

func frameDirection(dst []byte, f *Frame, _ *JSON) []byte {
	switch f.direction {
	case packet.Ingress:
		return append(dst, `"inbound"`...)
	case packet.Egress:
		return append(dst, `"outbound"`...)
	}
	return dst
}

func frameLength(dst []byte, f *Frame, _ *JSON) []byte { return appendUint(dst, f.length) }

func framePayloadLength(dst []byte, f *Frame, _ *JSON) []byte { return appendUint(dst, f.behind) }

func frameEtherType(dst []byte, f *Frame, _ *JSON) []byte {
	const hex = "0123456789abcdef"
	t := f.header.EtherType
	if f.header.Network != 0 || t == 0 {
		return dst
	}
	return append(dst, '"', '0', 'x', hex[t>>12], hex[t>>8&0xf], hex[t>>4&0xf], hex[t&0xf], '"')
}

func frameVLAN(dst []byte, f *Frame, _ *JSON) []byte { return f.appendVLAN(dst, 0) }

func frameInnerVLAN(dst []byte, f *Frame, _ *JSON) []byte { return f.appendVLAN(dst, 1) }

func (f *Frame) appendVLAN(dst []byte, i int) []byte {
	if i >= int(f.header.VLANs) {
		return dst
	}
	return appendUint(dst, f.header.VLAN[i])
}

func frameID(dst []byte, f *Frame, _ *JSON) []byte {
	if f.header.Version != 4 && !f.header.Fragment() {
		return dst
	}
	return appendUint(dst, f.header.FragmentID)
}

func frameFragment(dst []byte, f *Frame, _ *JSON) []byte {
	if !f.header.Fragment() {
		return dst
	}
	return appendUint(dst, f.header.FragmentOffset)
}

func frameICMPType(dst []byte, f *Frame, _ *JSON) []byte { return f.appendICMP(dst, f.header.ICMPType) }

func frameICMPCode(dst []byte, f *Frame, _ *JSON) []byte { return f.appendICMP(dst, f.header.ICMPCode) }

func (f *Frame) appendICMP(dst []byte, n uint8) []byte {
	if f.header.Transport != 0 && isICMP(f.header.Protocol) {
		return appendUint(dst, n)
	}
	return dst
}

func frameTCPFlag(dst []byte, f *Frame, _ *JSON) []byte {
	if f.header.Transport == 0 || f.header.Protocol != packet.ProtocolTCP {
		return dst
	}
	return append(dst, tcpFlagLists[f.header.TCPFlags%64]...)
}

func frameAnomaly(dst []byte, f *Frame, _ *JSON) []byte {
	if f.header.Anomaly == packet.NoAnomaly {
		return dst
	}
	return appendString(dst, f.header.Anomaly.String())
}

func frameTruncated(dst []byte, f *Frame, _ *JSON) []byte {
	if f.captured >= f.length {
		return dst
	}
	return appendUint(dst, f.captured)
}

func frameCause(dst []byte, f *Frame, o *JSON) []byte {
	if f.captured >= f.length || o.Cause == nil {
		return dst
	}
	return appendString(dst, o.Cause(f.session.Identified(), int(f.captured)))
}

func frameOuterSource(dst []byte, f *Frame, _ *JSON) []byte {
	if f.source.IsZero() {
		return dst
	}
	return append(appendAddr(append(dst, '"'), f.source), '"')
}

// frameCommunityID is that of the frame's flow. Without a transport header, as in
// later fragments, the ports are not known.
func frameCommunityID(dst []byte, f *Frame, _ *JSON) []byte {
	h := &f.header
	if h.Version == 0 || h.Transport == 0 && (hasPorts(h.Protocol) || isICMP(h.Protocol)) {
		return dst
	}
	addr, port := [2]packet.Addr{h.Src, h.Dst}, [2]uint16{h.SrcPort, h.DstPort}
	return append(appendCommunityID(append(dst, '"'), &addr, port, h.Protocol, h.ICMPType, h.ICMPCode), '"')
}

func framePayload(dst []byte, f *Frame, _ *JSON) []byte {
	if f.kept == 0 {
		return dst
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), f.payload[:f.kept]), '"')
}
