package flowlog

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// Config says what to write and where. The zero value of a field means what its
// comment says.
type Config struct {
	// Dir is the directory to write below. It is made if it is not there, and
	// locked against other processes.
	Dir string

	// Format is that of the lines; "" means Text.
	Format Format

	// Fields are those of a line of text; nil means AWS's default format. In
	// JSON they are not used.
	Fields *record.Fields

	// JSON are the options of a line of JSON; nil means none.
	JSON *record.JSON

	// Layout is that of the directories; "" means Plain.
	Layout Layout

	// Workers is how many workers give records, up to 65,536; 0 means 1.
	Workers int

	// Buffer is the memory for records that are not yet in a file, in bytes,
	// for all workers together; 0 means 64 MiB. A record takes 297 bytes, so
	// that is room for 225,000 of them, or what a table that writes 1,000,000
	// of them in 3 s gives in two thirds of a second. Files take more; see
	// chunkText.
	Buffer int64

	// OpenFiles is how many files are written at once; 0 means 64. The one
	// that was used longest ago is completed when another is needed.
	OpenFiles int

	// Replay says that records come from files: Flow waits when there is no
	// room, nothing depends on the time of day, and Lost is not asked.
	Replay bool

	// Sessions returns the sessions there are; those that are Known and have
	// no record in an interval get a NODATA line, unless frames were lost in
	// it. nil means none. The writer calls it, up to once an interval.
	Sessions func() []*packet.Session

	// Lost returns how many frames were lost so far before they reached a
	// flow, up to lostDelay late. When it grew in an interval, every session
	// with a record in it gets a SKIPDATA line. nil means none. The writer
	// calls it, several times a second.
	Lost func() uint64

	// Log gets what happens to files; nil discards it.
	Log *slog.Logger

	sync func(*os.File) error // nil: fsync(2); tests have it fail
}

// A Format says what the lines of a file are.
type Format string

// The formats.
const (
	Text Format = "text" // VPC Flow Logs: a header line, a line for each direction of a flow; .log.gz
	JSON Format = "json" // a line for each flow, both ways; .json.gz
)

// A Layout says which directories files are in, below Config.Dir; name.go has
// them in full.
type Layout string

// The layouts, as Amazon S3 has them from VPC Flow Logs.
const (
	Plain      Layout = "plain"       // by day
	Hourly     Layout = "hourly"      // by hour
	Hive       Layout = "hive"        // by day, with the names of partitions
	HiveHourly Layout = "hive-hourly" // by hour, likewise
)

func (c *Config) setDefaults() error {
	if c.Format == "" {
		c.Format = Text
	}
	if c.Layout == "" {
		c.Layout = Plain
	}
	switch {
	case c.Dir == "":
		return errors.New("flowlog: no directory given")
	case c.Workers < 0, c.Workers > math.MaxUint16+1, c.Buffer < 0, c.OpenFiles < 0:
		return fmt.Errorf("flowlog: %s: a value in the configuration is out of range", c.Dir)
	case c.Format != Text && c.Format != JSON:
		return fmt.Errorf("flowlog: format %q: write %s or %s", c.Format, Text, JSON)
	case layouts[c.Layout].place == "":
		return fmt.Errorf("flowlog: layout %q: write %s, %s, %s or %s", c.Layout, Plain, Hourly, Hive, HiveHourly)
	}
	if c.Fields == nil {
		fields, err := record.ParseFields("")
		if err != nil {
			return fmt.Errorf("flowlog: %w", err)
		}
		c.Fields = fields
	}
	if c.JSON == nil {
		c.JSON = new(record.JSON)
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Buffer == 0 {
		c.Buffer = 64 << 20
	}
	if c.OpenFiles == 0 {
		c.OpenFiles = 64
	}
	if c.Sessions == nil {
		c.Sessions = func() []*packet.Session { return nil }
	}
	if c.Lost == nil || c.Replay {
		c.Lost = func() uint64 { return 0 }
	}
	if c.sync == nil {
		c.sync = (*os.File).Sync
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
