package pcap

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	suffix        = ".pcap"
	partialSuffix = ".partial" // of a file that is not complete, behind suffix

	nameTime = "20060102T150405.000Z"

	// maxName bounds an escaped session name, in bytes, so that file names
	// stay below the 255 of Linux with their time, sequence and suffixes.
	maxName = 200
)

// escape returns name as the name of a directory: bytes other than letters,
// digits, dot, hyphen and underscore, and dots in front, become %XX. Different
// names stay different; a long one is cut, and told from others by a hash.
func escape(name string) string {
	var b strings.Builder
	leading := true
	for i := range len(name) {
		c := name[i]
		leading = leading && c == '.'
		switch {
		case leading:
			b.WriteString("%2E")
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	s := b.String()
	switch {
	case s == "":
		return "%"
	case len(s) > maxName:
		// What follows this % is not hexadecimal, so no name that was not cut
		// can be the same.
		return fmt.Sprintf("%s%%-%x", s[:maxName-34], sha256.Sum256([]byte(name)))[:maxName]
	}
	return s
}

// fileName returns the name of a complete file. session is escaped, first is
// in nanoseconds since 1970 UTC.
func fileName(session string, first int64, sequence uint64) string {
	return fmt.Sprintf("%s_%s_%06d%s", session, time.Unix(0, first).UTC().Format(nameTime), sequence, suffix)
}

// parseName takes apart a name that fileName made for the session, whatever
// the suffix has become since.
func parseName(session, name string) (first time.Time, sequence uint64, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, session+"_")
	if !ok || len(name) < len(nameTime)+1 || name[len(nameTime)] != '_' {
		return time.Time{}, 0, "", false
	}
	first, err := time.Parse(nameTime, name[:len(nameTime)])
	if err != nil {
		return time.Time{}, 0, "", false
	}
	digits, rest, found := strings.Cut(name[len(nameTime)+1:], ".")
	if !found || len(digits) < 6 || len(digits) > 18 {
		return time.Time{}, 0, "", false
	}
	sequence, err = strconv.ParseUint(digits, 10, 64)
	return first, sequence, "." + rest, err == nil
}

// A series numbers the files of one name. Streams of the same name share it.
type series struct {
	group string // the name
	name  string // escaped
	dir   string
	last  uint64 // the highest number in use; valid iff loaded
	uses  int    // streams

	loaded bool
}

func newSeries(root, group string) *series {
	name := escape(group)
	return &series{group: group, name: name, dir: filepath.Join(root, name)}
}

// next takes a number; the series is loaded.
func (s *series) next() uint64 {
	s.last++
	return s.last
}

// giveBack takes a number back that was not used, if it is the last: a full disk
// would use up one a second. 0 is none.
func (s *series) giveBack(number uint64) {
	if number != 0 && number == s.last {
		s.last--
	}
}

// load finds the highest number in use in the directory, once.
func (s *series) load() error {
	if s.loaded {
		return nil
	}
	d, err := os.Open(s.dir)
	if os.IsNotExist(err) {
		s.loaded = true
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, n, _, ok := parseName(s.name, name); ok {
			s.last = max(s.last, n)
		}
	}
	s.loaded = true
	return nil
}
