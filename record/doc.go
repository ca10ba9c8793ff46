// Package record writes flow records: as lines of VPC Flow Logs in a format of
// the user's choice ([Fields]), as JSON with all that is known of a flow
// ([AppendJSON]), or as events for Splunk ([Events]), which frames can be too
// ([Frame]). It also knows which AWS service an address belongs to ([Ranges]),
// and a flow's Community ID ([AppendCommunityID]).
//
// Everything appends to memory of the caller's and keeps none of it. Values but
// [Events] and [Frame] are immutable once made, and safe for use by any number of
// goroutines.
//
// It does not decide what a flow is or when its record is due, reads no header of
// a frame, and knows no files but AWS's ip-ranges.json.
package record
