package record

import (
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// Log statuses of lines that stand for no flow.
const (
	NoData   = "NODATA"   // the interface had no traffic in the interval
	SkipData = "SKIPDATA" // records of the interval are missing
)

// Fields is a format of VPC Flow Logs: which fields, in which order. It is made
// by [ParseFields] and immutable.
type Fields struct {
	columns []*Field
	version int
	ranges  *Ranges
}

// WithRanges returns the same format, with the names of AWS services from r;
// nil means none.
func (f *Fields) WithRanges(r *Ranges) *Fields {
	g := *f
	g.ranges = r
	return &g
}

// Version returns the highest version among the fields, at least 2.
func (f *Fields) Version() int { return f.version }

// Header returns the first line of a file: the names with a space between, and
// no newline.
func (f *Fields) Header() string {
	names := make([]string, len(f.columns))
	for i, c := range f.columns {
		names[i] = c.Name
	}
	return strings.Join(names, " ")
}

// AppendFlow appends a line, with its newline, for what one end of a flow sent:
// side is an index into r.Side. A side without packets has no line in flow
// logs; the caller leaves it out. It does not allocate when dst has room.
func (f *Fields) AppendFlow(dst []byte, r *packet.Flow, side int) []byte {
	for _, c := range f.columns {
		switch {
		case c.session != nil:
			dst = appendText(dst, c.session(r.Session))
		case c.flow != nil:
			dst = c.flow(dst, f, r, side)
		default:
			dst = append(dst, '-')
		}
		dst = append(dst, ' ')
	}
	dst[len(dst)-1] = '\n'
	return dst
}

// AppendStatus appends a line, with its newline, that says NoData or SkipData
// of a session's interval: begin and end bound it in nanoseconds since 1970 UTC,
// end itself excluded. The fields that tell of a flow are "-".
func (f *Fields) AppendStatus(dst []byte, s *packet.Session, begin, end int64, status string) []byte {
	for _, c := range f.columns {
		switch {
		case c.session != nil:
			dst = appendText(dst, c.session(s))
		case c.Name == "version":
			dst = appendVersion(dst, f, nil, 0)
		case c.Name == "start":
			dst = appendSeconds(dst, begin)
		case c.Name == "end":
			dst = appendSeconds(dst, max(begin, end-1))
		case c.Name == "log-status":
			dst = append(dst, status...)
		default:
			dst = append(dst, '-')
		}
		dst = append(dst, ' ')
	}
	dst[len(dst)-1] = '\n'
	return dst
}
