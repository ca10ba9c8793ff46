package flowlog

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

const partialSuffix = ".partial" // of a file that is not complete

// window is how much time a file covers, aligned to the epoch: that of the ends
// of its records (Amazon VPC User Guide, "Publish flow logs to Amazon S3").
const window = int64(5 * time.Minute)

// floor returns the multiple of step at or before t.
func floor(t, step int64) int64 {
	rest := t % step
	if rest < 0 {
		rest += step
	}
	return t - rest
}

// A slot is what one file is for.
type slot struct {
	account, region string
	window          int64 // its begin, in nanoseconds since 1970 UTC
}

// slotFor returns the slot of what a session's record, or another line of it,
// says that ends at end.
func slotFor(s *packet.Session, end int64) slot {
	return slot{s.Workload.AccountID, s.Workload.Region, floor(end, window)}
}

// layouts has, for each layout, the directory of a slot below Config.Dir, with
// the account and the region as arguments of Sprintf and the rest a layout of
// time.Format.
var layouts = map[Layout]struct{ place, date string }{
	Plain:      {"AWSLogs/%s/vpcflowlogs/%s", "2006/01/02"},
	Hourly:     {"AWSLogs/%s/vpcflowlogs/%s", "2006/01/02/15"},
	Hive:       {"AWSLogs/aws-account-id=%s/aws-service=vpcflowlogs/aws-region=%s", "year=2006/month=01/day=02"},
	HiveHourly: {"AWSLogs/aws-account-id=%s/aws-service=vpcflowlogs/aws-region=%s", "year=2006/month=01/day=02/hour=15"},
}

// A namer gives files their names.
type namer struct {
	dir    string
	layout Layout
	id     string // of the flow log: "fl-" and 17 digits
	ext    string // .log.gz or .json.gz
}

// newNamer returns the namer of a log. Its id is made of what the lines are, so
// that files with different lines are told apart, and a restart changes nothing.
func newNamer(c *Config) namer {
	n := namer{dir: c.Dir, layout: c.Layout, ext: ".log.gz"}
	what := string(c.Format)
	if c.Format == JSON {
		n.ext = ".json.gz"
	} else {
		what += " " + c.Fields.Header()
	}
	n.id = fmt.Sprintf("fl-%x", sha256.Sum256([]byte(what)))[:len("fl-")+17]
	return n
}

// path returns what the paths of a slot's files begin with, up to the last
// underscore:
//
//	DIR/AWSLogs/<account>/vpcflowlogs/<region>/2026/01/15/<account>_vpcflowlogs_<region>_<id>_20260115T1000Z_
func (n *namer) path(s slot) string {
	account, region := escape(s.account), escape(s.region)
	begin := time.Unix(0, s.window).UTC()
	l := layouts[n.layout]
	return filepath.Join(n.dir, fmt.Sprintf(l.place, account, region), begin.Format(l.date),
		fmt.Sprintf("%s_vpcflowlogs_%s_%s_%s_", account, region, n.id, begin.Format("20060102T1504Z")))
}

// partialName matches the names of files that are not complete: where a complete
// one has its hash, they have a number.
var partialName = regexp.MustCompile(`^.+_vpcflowlogs_.+_fl-[0-9a-f]{17}_[0-9]{8}T[0-9]{4}Z_[0-9]{8}\.(log|json)\.gz\` + partialSuffix + `$`)

// partial returns the name of a file while it is written.
func (n *namer) partial(path string, number uint32) string {
	return fmt.Sprintf("%s%08d%s%s", path, number%100_000_000, n.ext, partialSuffix)
}

// final returns the name that a .partial file gets when it is complete: the
// number gives way to a hash of what is in it.
func final(partial string, hash uint32) string {
	name := strings.TrimSuffix(partial, partialSuffix)
	i := strings.LastIndexByte(name, '_')
	_, ext, _ := strings.Cut(name[i:], ".")
	return fmt.Sprintf("%s_%08x.%s", name[:i], hash, ext)
}

// maxName bounds an escaped account or region, in bytes, so that file names,
// with two of them and at most 70 bytes besides, stay below the 255 of Linux.
const maxName = 80

// escape returns an account or region as part of a name: bytes other than
// letters, digits, hyphen and inner dots become %XX, and one that is not known
// "unknown". A long one is cut, and told from others by a hash.
func escape(name string) string {
	if name == "" {
		return "unknown"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.' && b.Len() > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	s := b.String()
	if len(s) > maxName {
		// What follows this % is not hexadecimal, so no name that was not cut
		// can be the same.
		return fmt.Sprintf("%s%%-%x", s[:maxName-34], sha256.Sum256([]byte(name)))[:maxName]
	}
	return s
}
