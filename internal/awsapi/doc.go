// Package awsapi asks AWS what Periscope needs to know: mirror sessions, targets
// and filters, network interfaces, instances, VPCs, ECS tasks, and what the
// instance metadata say of the machine itself. It makes, changes and deletes
// mirror sessions, and keeps objects in S3. Answers are plain values. The AWS SDK
// does the talking, and is not seen outside this package.
//
// A [Client] is one account in one region, [Objects] are those of one bucket. A
// method asks for all pages. One that lists gives them all, or an error, never a
// part; one that is given identifiers gives with an error what it had until then.
// An item that lacks what it needs, or has a value out of its range, is left out and
// counted in the log; no answer makes a method panic. [KindOf] says in a word what is
// wrong with a call, [CodeOf] what AWS said of it.
//
// Requests of a client, retries too, are held to a rate that all its callers
// share. A call ends after Config.Timeout whatever happens, and reads at most
// maxAnswer bytes; what is read lives as long as the caller keeps it. A client
// itself keeps some 100 KiB, mostly connections, and its methods may be called
// from any goroutine.
//
// The package decides nothing: when to ask or act, what to remember and what an
// answer means is its callers'.
package awsapi
