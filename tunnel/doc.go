// Package tunnel reads and writes the tunnel headers a mirrored frame travels
// in: VXLAN (RFC 7348) and GENEVE (RFC 8926).
//
// It is a leaf, and the trust boundary: every byte it reads may be hostile. Any
// bytes give a header or one of the named faults; nothing panics and nothing is
// allocated. What it returns aliases what it was given. It knows nothing of
// what the tunnels carry.
package tunnel
