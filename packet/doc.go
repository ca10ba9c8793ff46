// Package packet defines the values that travel between stages: datagrams as a
// source hands them over, the frames inside them, what decode understood of a
// frame, the session it came through, and the closed sets of reasons and
// anomalies.
//
// It is a leaf. It imports only the standard library, so that capture, decode,
// session, flow and sinks can share these values without importing one another.
// It owns no memory, starts no goroutine and does no input or output.
package packet
