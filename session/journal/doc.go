// Package journal keeps on disk who held which mirror session when, so that a
// start without AWS knows what was known, and an old capture is replayed with the
// identities of its time.
//
// A journal is one file of lines of JSON. The first says what it is. Each further
// one is a whole statement about one tenure (session.Tenure): when it was learnt,
// and all that is known, with the keys of the session file. Of a tenure the last
// statement counts. Lines are only added, and are on disk when Append returns. A
// torn last line is cut off when the journal is opened, a line that is damaged is
// passed over, counted and logged; no other is lost with it.
//
// A journal that outgrows its size is written anew with the last statements alone,
// of which those of the tenures that ended first are left out until the rest fills
// three quarters of the size. So each byte is copied three times at most. Tenures
// that did not end stay; where they alone are more than the size, it is logged, and
// the journal takes a quarter of the size more than they do. While it is written
// anew there are two files.
//
// In memory is an index alone, at most 120 bytes a tenure: for 64 MiB of tenures
// of 900 bytes, as those of Fargate tasks are, 9 MiB. Lines are at most 256 KiB and
// read one at a time. A Journal may be used by any goroutine; it waits for the disk,
// and is nothing for the path of packets.
//
// It does not know where entries come from.
package journal
