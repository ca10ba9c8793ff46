// Package discovery keeps the table of sessions, and the journal, in step with
// AWS: it asks which mirror sessions there are, which interface each is of, and
// which task or instance is behind that, and says since when.
//
// Where whoever mirrors writes down what it does (mirror/changes), that is known as
// soon as it is read, also of sessions that no look ever finds; and so are those that
// AWS refuses.
//
// A look at one account in one region lists all mirror sessions; only what is new
// in the list is asked about further, and everything once in ten minutes, for
// names that changed. There is a look every poll, and at once when a stranger
// sends. What one look found becomes tenures by a pure function (resolve). What
// cannot be asked, or is not listed for less than a poll, changes nothing: sessions
// stay as they were known last, by the journal also over a restart.
//
// What a sender announces of itself (session/announce) is a tenure of its VNI and
// source, where neither the session file nor AWS has one, until it says that it ends,
// is silent, or another one is announced there. Who announces is nobody's word but
// its own: what it can make this package hold and do is bounded.
//
// Of a session some 2 KiB are kept, of its interface, instance and task some 4 KiB
// more, so 10,000 sessions take 60 MiB, and as much again for a moment during a
// look. At most 20,000 sessions, and 50,000 tasks of others with 500 bytes each,
// are kept of a scope, 4,096 strangers in all. A hostile entry has 32 KiB at most. Of 10,000 senders that
// announce themselves 4 KiB each are kept; 64 announcements wait, of 1,400 bytes.
//
// Each scope has a goroutine of its own, so that one that fails or is slow holds
// up no other, and so has the journal: what is found is in use at once, and written
// when the disk takes it; of tenures that are over meanwhile, 64 MiB wait. It does
// not talk to AWS itself, and of frames it reads announcements alone.
package discovery
