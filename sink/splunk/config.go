package splunk

import (
	"errors"
	"log/slog"
	"time"

	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// A Config says what to send and where. The zero value of a field means what its
// comment says.
type Config struct {
	// Dir is the directory of the spool, locked against other processes.
	Dir string

	// Size bounds the spool in bytes, all lanes together; at least 4 MiB.
	Size int64

	// Age is how long an event waits before it is dropped as expired; 0 is no
	// bound.
	Age time.Duration

	// Free is the share of the file system that stays free, 0 to 1: for frames
	// it is 0.05 more, and for the ledger half of it. 0 is no bound.
	Free float64

	// HEC says where to send, Log excepted.
	HEC hec.Config

	// Flow, VPCFlow and Ledger say which records are sent.
	Flow, VPCFlow, Ledger bool

	// Frames says which frames are; the zero value is none.
	Frames FrameConfig

	// VPCFlowVersion is that of the lines of VPC Flow Logs: 2 or 5, 0 is 2.
	VPCFlowVersion int

	// Indexes are those of the events by type.
	Indexes Indexes

	// Budget bounds the bytes of a day.
	Budget Budget

	// Host, Source and Collector are as in record.EventConfig.
	Host, Source, Collector string

	// JSON are the options of flow records; nil means none.
	JSON *record.JSON

	// Workers is how many workers give records; 0 means 1.
	Workers int

	// Buffer is the memory for records that are not yet in the spool, in bytes,
	// for all workers together; 0 means 64 MiB, room for 225,000 flow records
	// of 297 bytes, or what a table gives in a third of a second.
	Buffer int64

	// Replay says that records come from files: Flow waits when there is no
	// room, in memory or in the spool.
	Replay bool

	// Report returns the ledger event, a JSON object. It is asked once a minute
	// and at the end. nil means none.
	Report func() []byte

	// Log gets what happens; nil discards it.
	Log *slog.Logger

	// What tests change; 0 is the default.
	linger, reportEvery, holdLeast time.Duration
	batchEvents                    int
	now                            func() time.Time
}

// Indexes are names of Splunk indexes by type of record; "" is the token's
// default.
type Indexes struct {
	Flow, VPCFlow, Frame, Ledger string
}

const (
	defaultBuffer = 64 << 20

	// batchBytes and batchEvents bound a request: Splunk takes 1,000,000 bytes
	// and warns of no number, but one bad event costs halving a batch.
	batchBytes  = 900_000
	batchEvents = 5_000

	// linger is how long a lane waits for more. A flow record waits 100 ms at
	// most in the queue before that.
	linger = 500 * time.Millisecond

	// reportEvery is how often the ledger is sent, in time with the minute.
	reportEvery = time.Minute

	// A lane whose index is refused is tried again after holdLeast, doubling to
	// holdMost.
	holdLeast = 30 * time.Second
	holdMost  = 5 * time.Minute

	// probeEvents is how many events a lane tries after a hold, and twice as many
	// each time that some are taken: when all are refused it takes 31 requests of
	// halves and 16 of single events to know.
	probeEvents = 2 * hopeless

	// places is how many batches are in memory at once: as many requests as the
	// client lets be out at once.
	places = 16
)

func (c *Config) setDefaults() error {
	if c.Dir == "" {
		return errors.New("splunk: no directory for the spool")
	}
	c.Workers = max(c.Workers, 1)
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.JSON == nil {
		c.JSON = &record.JSON{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.linger == 0 {
		c.linger = linger
	}
	if c.reportEvery == 0 {
		c.reportEvery = reportEvery
	}
	if c.holdLeast == 0 {
		c.holdLeast = holdLeast
	}
	if c.batchEvents == 0 {
		c.batchEvents = batchEvents
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.HEC.Log = c.Log
	return nil
}

// eventConfig says what events have beside what they are about.
func (c *Config) eventConfig() record.EventConfig {
	version := c.VPCFlowVersion
	if version == 0 {
		version = 2
	}
	return record.EventConfig{
		Host:         c.Host,
		Source:       c.Source,
		Collector:    c.Collector,
		FlowIndex:    c.Indexes.Flow,
		VPCFlowIndex: c.Indexes.VPCFlow,
		LedgerIndex:  c.Indexes.Ledger,
		FrameIndex:   c.Indexes.Frame,
		VPCFlow:      record.VPCFlowFields(version).WithRanges(c.JSON.Ranges),
		JSON:         *c.JSON,
	}
}
