// Package awsfake is an HTTP endpoint for tests that answers as AWS does, as far
// as Periscope asks: EC2 (Query, version 2016-11-15), ECS (JSON 1.1), STS, S3
// (with buckets in paths) and instance metadata (version 2), all on one listener,
// so that the SDK and the AWS command line work against it. Another program can
// start it too: see serve. It makes events as EventBridge would send them.
//
// What it knows are plain values, a State, that tests read and change and that
// JSON keeps. Account and region of a request are those of its credentials: the
// last twelve characters of an access key are the account's number. Signatures
// are not checked. A State grows as tests make it; a request's body is bounded,
// and so is what a bucket holds. Objects are part of the State, and saved with it.
//
// Every method may be called at once. What is answered, and what refused, is as
// AWS documents it or was seen to answer; where neither says, the code is one
// that clients have no special treatment for. Faults are a test's to order. It
// belongs to tests only.
package awsfake
