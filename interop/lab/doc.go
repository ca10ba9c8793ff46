// Package lab runs the program in the laboratory's mirror session, with the
// OpenTelemetry Collector's receiver beside it: what real programs say to each
// other arrives as events, as many as the ledger says, with session and workload,
// and the add-on's saved searches find in them what they should. It has tests only.
package lab
