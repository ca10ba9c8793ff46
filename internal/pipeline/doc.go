// Package pipeline wires the stages together: what happens to a batch from the
// source to the sinks, the ledger that accounts for every frame, and the order
// in which things start and stop.
//
// It is the only place where stages meet, and is not a stage itself: it reads
// no header that tunnel or decode could read and writes no byte that a sink
// could write. Frames and their bytes are borrowed from the source for the time
// of one batch; the pipeline keeps none of them.
//
// The counters of a worker are its own; it publishes them once a batch, and any
// goroutine may take a snapshot with Ledger.
package pipeline
