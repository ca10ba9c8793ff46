// Package delivery holds the Splunk sink to its promise, from a record to the
// OpenTelemetry Collector's receiver with a proxy of faults between: every event
// arrives whole and at least once; twice only where the sender could not know that
// it had arrived, and then with the same event_uid. It has tests only. Time-outs
// run in the time of testing/synctest; the spool and the receiver are real.
package delivery
