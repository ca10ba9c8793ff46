package record

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/packet"
)

// JSON says what goes into a record as JSON beside the flow itself. The zero
// value and nil add nothing.
type JSON struct {
	// Ranges gives the AWS services of the ends; nil means none.
	Ranges *Ranges

	// Cause says what likely cut the frames of a session, from how many bytes
	// arrived of one; "" means not known. It may be nil. It is called for
	// frames that were cut, and flows with such, from any goroutine.
	Cause func(s *packet.Session, length int) string
}

// A Key is a key of a record in JSON.
type Key struct {
	Name    string // with the unit at its end
	Type    string // string, integer, time or array of strings
	Meaning string

	side  int    // what append gets
	quote string // the name as it is written, with a comma before it
	// append appends the value, or nothing if there is none. It is nil where
	// the value is that of the key before, which always has one.
	append func(dst []byte, r *packet.Flow, side int, o *JSON) []byte
}

// Keys returns the keys of a record in JSON, in order.
func Keys() []Key { return slices.Clone(keys) }

// AppendJSON appends the record of a flow, both ways, as a JSON object on one
// line with its newline. What is not known or does not apply is left out; a
// count that applies is there at 0 too. It is valid JSON in valid UTF-8 whatever
// names the session has. It does not allocate when dst has room.
func AppendJSON(dst []byte, r *packet.Flow, o *JSON) []byte {
	if o == nil {
		o = &none
	}
	begin := len(dst)
	dst = appendKeys(dst, keys, r, o)
	dst[begin] = '{'
	return append(dst, "}\n"...)
}

// AppendJSONStatus appends a line that says NoData or SkipData of a session's
// interval, bounded as in [Fields.AppendStatus]: the key log_status, and those
// of a record that tell of the interval and the session.
func AppendJSONStatus(dst []byte, s *packet.Session, begin, end int64, status string) []byte {
	dst = appendString(append(dst, `{"log_status":`...), status)
	dst = appendKeys(dst, statusKeys, &packet.Flow{Session: s, Begin: begin, End: end}, &none)
	return append(dst, "}\n"...)
}

var none JSON

// appendKeys appends the keys that have a value, each with a comma before it.
func appendKeys(dst []byte, ks []Key, r *packet.Flow, o *JSON) []byte {
	value := 0 // where that of the last key begins
	for i := range ks {
		k := &ks[i]
		before, last := len(dst), value
		dst = append(dst, k.quote...)
		value = len(dst)
		if k.append == nil {
			dst = append(dst, dst[last:before]...)
			continue
		}
		if dst = k.append(dst, r, k.side, o); len(dst) == value {
			dst = dst[:before]
		}
	}
	return dst
}

// appendString appends a string in quotes, or nothing for "". Bytes that are
// not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(dst, '"')
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		dst = appendEscaped(append(dst, s[done:i]...), r)
		i += size
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

// appendEscaped appends a character that does not stand for itself, or is not
// ASCII.
func appendEscaped(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	switch {
	case r >= utf8.RuneSelf:
		return utf8.AppendRune(dst, r)
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	}
	return append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
}

func appendUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](dst []byte, n T) []byte {
	return strconv.AppendUint(dst, uint64(n), 10)
}

// appendTime appends nanoseconds since 1970 as RFC 3339 in UTC with
// microseconds, for which time.Time.AppendFormat takes three times as long.
func appendTime(dst []byte, ns int64) []byte {
	const zero = `"0000-00-00T00:00:00.000000Z"`
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, zero...)
	b := dst[len(dst)-len(zero):]
	putDigits(b[1:5], uint32(year))
	putDigits(b[6:8], uint32(month))
	putDigits(b[9:11], uint32(day))
	putDigits(b[12:14], uint32(hour))
	putDigits(b[15:17], uint32(minute))
	putDigits(b[18:20], uint32(second))
	putDigits(b[21:27], uint32(t.Nanosecond()/1000))
	return dst
}

// putDigits fills b with the last decimal digits of n.
func putDigits(b []byte, n uint32) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
