package record

import (
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
	// arrived of one; "" means not known. It may be nil. It is called for flows
	// with cut frames only, from any goroutine.
	Cause func(s *packet.Session, length int) string
}

// A Key is a key of a record in JSON.
type Key struct {
	Name    string // with the unit at its end
	Type    string // string, integer, time or array of strings
	Meaning string

	side  int    // what append gets
	quote string // the name as it is written
	// append appends the value, or nothing if there is none.
	append func(dst []byte, r *packet.Flow, side int, o *JSON) []byte
}

// Keys returns the keys of a record in JSON, in order.
func Keys() []Key { return append([]Key(nil), keys...) }

// AppendJSON appends the record of a flow, both ways, as a JSON object on one
// line with its newline. What is not known or does not apply is left out; a
// count that applies is there at 0 too. It is valid JSON in valid UTF-8 whatever
// names the session has. It does not allocate when dst has room.
func AppendJSON(dst []byte, r *packet.Flow, o *JSON) []byte {
	if o == nil {
		o = &none
	}
	dst = append(dst, '{')
	for i := range keys {
		k := &keys[i]
		before := len(dst)
		dst = append(dst, k.quote...)
		value := len(dst)
		dst = k.append(dst, r, k.side, o)
		if len(dst) == value {
			dst = dst[:before]
			continue
		}
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = '}'
	return append(dst, '\n')
}

var none JSON

// appendString appends a string in quotes, or nothing for "". Bytes that are
// not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if s == "" {
		return dst
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

func appendUint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](dst []byte, n T) []byte {
	return strconv.AppendUint(dst, uint64(n), 10)
}

// appendTime appends nanoseconds since 1970 as RFC 3339 in UTC with
// microseconds, which time.Time.AppendFormat takes three times as long for.
func appendTime(dst []byte, ns int64) []byte {
	t := time.Unix(0, ns).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append(dst, '"')
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z', '"')
}

// appendDigits appends the last so many decimal digits of n, at most 6.
func appendDigits(dst []byte, n, digits int) []byte {
	const zeros = "000000"
	dst = append(dst, zeros[:digits]...)
	for i := len(dst) - 1; i >= len(dst)-digits; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}
