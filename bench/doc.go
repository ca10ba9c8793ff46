// Package bench measures what no single package can: the whole path from the
// datagram to the capture file, beside what others make of the same bytes. The
// program in rate measures a running collector from outside, the one in flows
// what accounting for flows costs, the one in peers the collector beside other
// capture programs and beside the loops in limit, which do the least. The one in
// blast sends to them at millions of packets a second, the one in imix writes the
// file that replay reads.
//
// Timings live here and never in tests; allocations and exact counts are
// asserted in the packages they belong to.
package bench
