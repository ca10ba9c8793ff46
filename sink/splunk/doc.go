// Package splunk sends flow records, frames and the ledger as events to Splunk's
// HTTP Event Collector, and keeps on disk what is not yet there.
//
//	workers -> queue -> encoder -> lanes (a spool each) -> deliveries -> endpoints
//
// Workers copy records into a queue. One encoder goroutine makes events of them
// and appends each to the spool of its lane. A lane is a type of record and an
// index, so that an index that is refused holds up its own events alone:
//
//	DIR/<type>, DIR/<type>@<index>   the spool of a lane: flow, vpcflow, frame, ledger
//	DIR/quarantine.jsonl             events that were refused for good
//	DIR/budget.json                  bytes of this day, see Budget
//
// Lanes that an earlier configuration left are emptied too. A goroutine for each
// lane reads batches, and one for each batch sees it to its end: it is sent
// until it is delivered, what is refused in it is put aside, and only then is it
// committed. When an endpoint may be asked is the client's, in package hec.
//
// Guarantee: an event that is in the spool is delivered at least once. A crash, a
// lost answer and a lost acknowledgement make duplicates, which have the same
// event_uid.
//
// Within Config.Size what is new is refused when there is no room: frames beyond
// half of it, flows beyond 15/16, the ledger when it is full. Where the file system
// is the limit, frames leave more of it free than flows, and those more than the
// ledger. So the newest frames go first, and flows and the ledger last.
//
// Memory: Config.Buffer bytes of records; [places] batches of 900,000 bytes, as
// read and compressed, 29 MiB at the most; and some 300 bytes for each batch that
// waits for its acknowledgement.
//
// The package does not decide what an event says, and reads no answer of a
// server.
package splunk
