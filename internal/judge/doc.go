// Package judge has independent programs read a capture file of Ethernet frames,
// and holds what we make of the same frames against it: decode against tshark
// frame by frame, flow records against tshark, nfpcapd with nfdump, softflowd
// with nfcapd, and argus with ra, summed up over the file. It serves tests only:
// it fails the test it is given.
//
// The programs that account for flows count in ways of their own. So that one
// number can be held against another, packets and bytes are summed up by
// protocol, addresses and ports, bytes are those of IP packets as in VPC Flow
// Logs, and:
//
//	program    bytes        fragments                             ports of ICMP
//	tshark     frames       each counts; later ones have no ports  none
//	nfpcapd    IP packets   a datagram counts once, put together   type and code
//	softflowd  IP packets   each counts; later ones have no ports  type and code
//	argus      frames       each counts, with the first's ports    type, identifier
//	periscope  both         each counts, with the first's ports    none
//
// Frames are taken as IP packets by what the IP header says (tshark), or less the
// 14 bytes of their Ethernet header (argus, where no frame may have tags or
// padding). ICMP has no ports. Between ends that exchange fragments the ports are
// left out for all programs, and for nfpcapd the packets and header bytes that
// putting together has swallowed are added, from tshark's reading. What is not
// IP, such as ARP, is left out: nfpcapd and softflowd do not read it.
package judge
