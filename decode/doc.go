// Package decode reads the headers of a mirrored frame, Ethernet to transport,
// into a fixed [packet.Header]; hashes the flow a frame belongs to, so that both
// its directions can meet on one worker; and provides the [Pool]: goroutines,
// batches, distribution.
//
// Reading is total: any bytes give a header, and an [packet.Anomaly] that names
// where reading stopped. It neither panics nor allocates. [Decode] and
// [FlowHash] keep nothing between calls, own no memory and may be called from
// any number of goroutines, on different frames.
//
// What is behind the transport header is not looked at, and no tunnel inside the
// mirrored frame is unwrapped. Fragments are recognised, not reassembled;
// checksums are not verified, since mirrored hosts leave them to their network
// cards. Where frames come from, and where they go, is not known here.
package decode
