package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
)

// TestSplunkWithoutFlows says that flows are accounted for if the sink sends
// records of them, and not for it alone if it does not.
func TestSplunkWithoutFlows(t *testing.T) {
	for name, test := range map[string]struct {
		records []string
		frames  string
		flowlog bool
		want    bool
	}{
		"flows":              {[]string{"flow"}, "off", false, true},
		"lines":              {[]string{"vpcflow"}, "off", false, true},
		"ledger":             {[]string{"ledger"}, "off", false, false},
		"frames":             {nil, "all", false, false},
		"ledger and flowlog": {[]string{"ledger"}, "all", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := config.Default()
			cfg.Sinks.PCAP = nil
			if test.flowlog {
				flowlog := config.DefaultFlowLog()
				flowlog.Dir = filepath.Join(dir, "flowlog")
				cfg.Sinks.FlowLog = &flowlog
			}
			splunk := config.DefaultSplunk()
			splunk.Endpoints = []config.Endpoint{{URL: "http://127.0.0.1:1"}}
			splunk.TokenFile = filepath.Join(dir, "token")
			if err := os.WriteFile(splunk.TokenFile, []byte("11111111-2222-4333-8444-555555555555\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			splunk.Spool.Dir, splunk.Spool.Size, splunk.Spool.Free = filepath.Join(dir, "spool"), 64<<20, 0
			splunk.Records, splunk.Frames.Mode = test.records, test.frames
			cfg.Sinks.Splunk = &splunk
			cfg.Capture.Workers = 1
			out, err := openOutputs(&cfg, surroundings{replay: true, sessions: func() []*packet.Session { return nil }, log: discard})
			if err != nil {
				t.Fatal(err)
			}
			p, err := New(Config{Workers: 1, Sessions: newTable(&cfg, discard), Sinks: out.list(), Flows: flowConfig(&cfg), Log: discard})
			if err != nil {
				out.close()
				t.Fatal(err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			l := p.Ledger()
			if got := l.Flows != nil; got != test.want || (len(p.frameSinks) == 1) != (test.frames == "all") {
				t.Errorf("flows are accounted for: %v, want %v; %d sinks of frames", got, test.want, len(p.frameSinks))
			}
			if _, ok := l.Sinks["splunk"]; !ok {
				t.Error("the sink has no account")
			}
		})
	}
}
