package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/flowlog"
	"github.com/periscope-collector/periscope/sink/pcap"
	"github.com/periscope-collector/periscope/sink/splunk"
)

// outputs are the sinks that the configuration names; those that are off are
// nil.
type outputs struct {
	pcap    *pcap.Sink
	flowlog *flowlog.Sink
	splunk  *splunk.Sink
}

// surroundings are what sinks need to know beside their configuration.
type surroundings struct {
	version  string // of the program
	replay   bool
	sessions func() []*packet.Session
	lost     func() uint64                 // frames lost before a flow was accounted for; nil in replay
	ledger   func() (l Ledger, ready bool) // nil in replay
	log      *slog.Logger
}

// openOutputs opens the sinks that cfg names, or none.
func openOutputs(cfg *config.Config, around surroundings) (o outputs, err error) {
	defer func() {
		if err != nil {
			o.close()
			o = outputs{}
		}
	}()
	if o.pcap, err = openPCAP(cfg.Sinks.PCAP, cfg.Capture.Workers, around.replay, around.log); err != nil {
		return o, err
	}
	if o.flowlog, err = openFlowLog(cfg, around); err != nil {
		return o, err
	}
	o.splunk, err = openSplunk(cfg, around)
	return o, err
}

// list returns the sinks that are on.
func (o *outputs) list() (list []Sink) {
	if o.pcap != nil {
		list = append(list, Sink{Name: "pcap", Sink: o.pcap})
	}
	if o.flowlog != nil {
		list = append(list, Sink{Name: "flowlog", Sink: o.flowlog})
	}
	if o.splunk != nil {
		s := Sink{Name: "splunk", Sink: o.splunk}
		if !o.splunk.TakesFlows() {
			s.Sink = noFlows{o.splunk}
		}
		if frames := o.splunk.Frames(); frames != nil {
			s.Frames = frames
		}
		list = append(list, s)
	}
	return list
}

// noFlows is a sink that could take records and wants none: for it alone flows are
// not accounted for.
type noFlows struct{ sink.Sink }

// close closes sinks that no pipeline has got.
func (o *outputs) close() { closeUnused(o.list()) }

// unusedTimeout is ample for sinks that got nothing. One that sends what an
// earlier process left could take for ever.
const unusedTimeout = time.Second

// closeUnused closes sinks that got nothing.
func closeUnused(sinks []Sink) {
	ctx, cancel := context.WithTimeout(context.Background(), unusedTimeout)
	defer cancel()
	for _, s := range sinks {
		s.Close(ctx)
	}
}

// openFlowLog opens the flowlog sink, or returns nil when it is off.
func openFlowLog(cfg *config.Config, around surroundings) (*flowlog.Sink, error) {
	c := cfg.Sinks.FlowLog
	if c == nil {
		return nil, nil
	}
	fields, err := record.ParseFields(c.Fields)
	if err != nil {
		return nil, err // config has validated it
	}
	ranges, err := loadRanges(cfg)
	if err != nil {
		return nil, err
	}
	return flowlog.Open(flowlog.Config{
		Dir:      c.Dir,
		Format:   flowlog.Format(c.Format),
		Fields:   fields.WithRanges(ranges),
		JSON:     &record.JSON{Ranges: ranges, Cause: session.TruncationCause},
		Layout:   flowlog.Layout(c.Layout),
		Workers:  cfg.Capture.Workers,
		Buffer:   int64(c.Buffer),
		Replay:   around.replay,
		Sessions: around.sessions,
		Lost:     around.lost,
		Log:      around.log,
	})
}

// loadRanges reads the list of AWS's address ranges, if there is one.
func loadRanges(cfg *config.Config) (*record.Ranges, error) {
	if cfg.Flows.IPRanges == "" {
		return nil, nil
	}
	ranges, err := record.LoadRanges(cfg.Flows.IPRanges)
	if err != nil {
		return nil, &FileError{err}
	}
	return ranges, nil
}

// flowConfig says how flows are accounted for.
func flowConfig(cfg *config.Config) FlowConfig {
	interval := time.Duration(config.DefaultFlowLog().Interval)
	if cfg.Sinks.FlowLog != nil {
		interval = time.Duration(cfg.Sinks.FlowLog.Interval)
	}
	return FlowConfig{
		Table:          cfg.Flows.Table,
		Interval:       interval,
		Idle:           time.Duration(cfg.Flows.Idle),
		DropDuplicates: cfg.Flows.Duplicates == "drop",
	}
}

// CheckFiles reads the files that cfg names beside itself, and returns what is
// wrong with them.
func CheckFiles(cfg *config.Config) error {
	_, sessions := loadSessions(cfg)
	_, ranges := loadRanges(cfg)
	_, rules := loadRules(cfg)
	return errors.Join(sessions, ranges, rules)
}
