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
//	program    bytes       fragments                              IPv6 extension headers
//	tshark     frames      each counts; later ones have no ports  skipped
//	nfpcapd    IP packets  of IPv4 put together, as one packet    are the protocol
//	softflowd  IP packets  each counts; later ones have no ports, skipped
//	                       those of IPv6 are protocol 0
//	argus      frames      each counts, with the first's ports    skipped
//	periscope  both        each counts, with the first's ports    skipped
//
// Frames are taken as IP packets by what the IP header says (tshark), or less the
// 14 bytes of their Ethernet header (argus, where no frame may have tags or
// padding). ICMP has no ports here: programs put types, codes and identifiers
// there. Between ends that exchange fragments the ports are left out for all.
// What a program counts under another protocol is moved to where it belongs, and
// for nfpcapd the packets and headers that putting together has swallowed are
// added, both as many as tshark says; were they not there, the sums would differ.
// What is not IP, such as ARP, is left out, since only tshark and argus read it.
package judge
