package flowlog

import (
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// lines writes the lines of one format.
type lines struct {
	format Format
	fields *record.Fields
	json   *record.JSON
}

// header returns what a file begins with.
func (l *lines) header() []byte {
	if l.format == JSON {
		return nil
	}
	return []byte(l.fields.Header() + "\n")
}

// appendFlow appends a record, and returns how many lines it takes: in text one
// for each direction with packets, as flow logs have them.
func (l *lines) appendFlow(dst []byte, r *packet.Flow) ([]byte, uint64) {
	if l.format == JSON {
		return record.AppendJSON(dst, r, l.json), 1
	}
	var n uint64
	for side := range r.Side {
		if r.Side[side].Packets > 0 {
			dst = l.fields.AppendFlow(dst, r, side)
			n++
		}
	}
	return dst, n
}

// appendStatus appends the line that says word, NODATA or SKIPDATA, of the
// session's interval.
func (l *lines) appendStatus(dst []byte, s *packet.Session, begin, end int64, word string) []byte {
	if l.format == Text {
		return l.fields.AppendStatus(dst, s, begin, end, word)
	}
	return record.AppendJSONStatus(dst, s, begin, end, word)
}

// end returns the time that decides which window a record is of: that of its
// last packet.
func end(r *packet.Flow) int64 { return max(r.Side[0].Last, r.Side[1].Last) }
