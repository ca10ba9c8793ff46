// Package bench measures what no single package can: the whole path from the
// datagram to the capture file, beside what others make of the same bytes. The
// program in rate measures a running collector from outside, the one in flows
// what accounting for flows costs.
//
// Timings live here and never in tests; allocations and exact counts are
// asserted in the packages they belong to.
package bench
