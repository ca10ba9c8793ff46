// Package filter says which frames the rules of an AWS mirror filter accept,
// and how much of a frame is kept. It reads the filter file, or what the AWS
// CLI prints about filters.
//
// A [Program] is a compiled [Filter], a [Policy] compiled rules about what to
// keep. Both are immutable, for any number of goroutines, and look at a frame
// without allocating. They own nothing of the frame. What a frame takes grows
// with the number of rules, of which a filter has at most MaxRules in each
// direction.
//
// It does not drop or cut frames, and does not know sinks.
package filter
