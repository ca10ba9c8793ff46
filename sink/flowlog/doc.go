// Package flowlog keeps flow records in files as VPC Flow Logs delivers them to
// Amazon S3, one for each account, region and window of five minutes:
//
//	DIR/AWSLogs/<account>/vpcflowlogs/<region>/<yyyy>/<mm>/<dd>/
//	    <account>_vpcflowlogs_<region>_<flow log>_<yyyymmdd>T<hhmm>Z_<hash>.log.gz
//
// A record is in the window in which its last packet came, UTC. Account and
// region are those of the session as it is known when the line is written, or
// "unknown". The flow log's identifier is made of the fields, the hash is the
// CRC-32 of the text, so that the same records give the same names. A line of
// text is what one end of a flow sent; JSON, in .json.gz, has one for both ends.
// NODATA and SKIPDATA lines say which sessions had no traffic in an interval,
// and of which something may be missing; in JSON they are the ones with the key
// log_status.
//
// Workers copy records into a queue. One writer goroutine makes lines of them,
// and compresses and writes those of a file a chunk at a time; a second one
// completes files (sync, rename). Neither can hold a worker up.
//
// Memory: Config.Buffer bytes of records, and up to 320 KiB of lines for each of
// Config.OpenFiles files.
//
// Durability: live a line is with the kernel within a second of its record, and
// when its interval is over. A file is a whole gzip file after each write, which
// zcat reads, and counts records as stored then. One without the suffix .partial
// is complete, and was synced before it got its name; that is when the interval
// behind its window is over, or the traffic is. A record that comes later begins
// another file of the window. A file that cannot be synced or renamed is tried
// again every 10 s, where a sync failed with its lines written anew. Open finishes
// what an earlier process left.
//
// The package does not decide what a record is or when it is due, and does not
// remove files.
package flowlog
