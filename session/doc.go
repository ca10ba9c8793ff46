// Package session says whose packet a frame is. It reads the session file,
// keeps the table from (VNI, outer source) and time to packet.Session, tells a
// frame's direction, watches the file for changes, and announces who sends.
//
// A Table is swapped whole behind an atomic pointer: looking up a session that
// exists takes no lock and allocates nothing, whatever is reloaded meanwhile.
// Sessions are shared by pointer and stay valid after they ended. What unknown
// senders can make the package hold is bounded: sessions by the configured
// number, twice that where they are kept apart, announcements by a constant.
//
// It is not a client of AWS, and does not read packets beyond what direction
// needs.
package session
