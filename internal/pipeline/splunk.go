package pipeline

import (
	"cmp"
	"os"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// openSplunk opens the splunk sink, or returns nil when it is off.
func openSplunk(cfg *config.Config, around surroundings) (*splunk.Sink, error) {
	c := cfg.Sinks.Splunk
	if c == nil {
		return nil, nil
	}
	ranges, err := loadRanges(cfg)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	prefix, err := c.Frames.Match.Prefix()
	if err != nil {
		return nil, err // config has validated it
	}
	sends := func(name string) bool { return slices.Contains(c.Records, name) }
	index := func(own string) string { return cmp.Or(own, c.Index) }
	config := splunk.Config{
		Dir:            c.Spool.Dir,
		Size:           int64(c.Spool.Size),
		Age:            time.Duration(c.Spool.Age),
		Free:           float64(c.Spool.Free) / 100,
		HEC:            HECConfig(c, around.version),
		Flow:           sends("flow"),
		VPCFlow:        sends("vpcflow"),
		Ledger:         sends("ledger"),
		VPCFlowVersion: c.VPCFlowVersion,
		Frames: splunk.FrameConfig{
			Mode:    frameModes[c.Frames.Mode],
			Sample:  c.Frames.Sample,
			Payload: int(c.Frames.Payload),
			Match: splunk.Match{
				Session:  c.Frames.Match.Session,
				Protocol: protocols[c.Frames.Match.Protocol],
				Port:     uint16(c.Frames.Match.Port),
				Address:  prefix,
			},
		},
		Indexes: splunk.Indexes{
			Flow:    index(c.Indexes.Flow),
			VPCFlow: index(c.Indexes.VPCFlow),
			Frame:   index(c.Indexes.Frame),
			Ledger:  index(c.Indexes.Ledger),
		},
		Budget: splunk.Budget{
			Flow:    int64(c.Budget.Flow),
			VPCFlow: int64(c.Budget.VPCFlow),
			Frame:   int64(c.Budget.Frame),
			Ledger:  int64(c.Budget.Ledger),
			Top:     c.BudgetTop,
		},
		Host:      host,
		Collector: c.Collector,
		JSON:      &record.JSON{Ranges: ranges, Cause: session.TruncationCause},
		Workers:   cfg.Capture.Workers,
		Buffer:    int64(c.Buffer),
		Replay:    around.replay,
		Log:       around.log,
	}
	if around.ledger != nil {
		events := ledgerEvents{host: host, collector: c.Collector, version: around.version, start: time.Now()}
		config.Report = func() []byte {
			ledger, ready := around.ledger()
			return events.next(&ledger, time.Now(), ready)
		}
	}
	return splunk.Open(config)
}

var (
	frameModes = map[string]splunk.FrameMode{"off": splunk.FramesOff, "sampled": splunk.FramesSampled, "all": splunk.FramesAll}
	ackModes   = map[string]hec.AckMode{"auto": hec.AckAuto, "off": hec.AckOff, "require": hec.AckRequire}
	protocols  = map[string]uint8{
		"tcp": packet.ProtocolTCP, "udp": packet.ProtocolUDP,
		"icmp": packet.ProtocolICMP, "icmpv6": packet.ProtocolICMPv6,
	}
)

// HECConfig returns how the endpoints of the splunk sink are asked.
func HECConfig(c *config.Splunk, version string) hec.Config {
	h := hec.Config{
		TokenFile:  c.Tokens(),
		Ack:        ackModes[c.Ack],
		CA:         c.CAFile,
		Cert:       c.CertFile,
		Key:        c.KeyFile,
		ServerName: c.ServerName,
		Insecure:   c.Insecure,
		Version:    version,
	}
	for _, e := range c.Endpoints {
		h.Endpoints = append(h.Endpoints, hec.Endpoint{URL: e.URL, Weight: e.Weight})
	}
	return h
}
