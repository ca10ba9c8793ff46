package config

import (
	_ "embed" // reference.yaml
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// Reference is a configuration file with every key, its default, its range and
// its effect in comments. Parsed, it equals Default with every sink on, and the
// endpoint and the token file of an example, which have no default.
//
//go:embed reference.yaml
var Reference string

// maxFile bounds what Load reads: a thousand times a usual configuration.
const maxFile = MiB

// Default returns the configuration that holds when there is no file. Its
// capture files go to captures in the working directory.
func Default() Config {
	pcap := DefaultPCAP()
	return Config{
		Capture: Capture{
			Listen:  []string{":4789"},
			Geneve:  []string{":6081"},
			Backend: "auto",
			Ring:    64 * MiB,
			Allow: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"),     // private, RFC 1918
				netip.MustParsePrefix("172.16.0.0/12"),  // private, RFC 1918
				netip.MustParsePrefix("192.168.0.0/16"), // private, RFC 1918
				netip.MustParsePrefix("100.64.0.0/10"),  // shared, RFC 6598
				netip.MustParsePrefix("127.0.0.0/8"),    // loopback, RFC 1122
				netip.MustParsePrefix("::1/128"),        // loopback, RFC 4291
				netip.MustParsePrefix("fc00::/7"),       // unique local, RFC 4193
			},
			ReceiveBuffer: 64 * MiB,
		},
		Sessions:    Sessions{Unknown: "keep", UnknownMax: 256},
		Filter:      Filter{Sessions: []SessionFilter{}},
		Keep:        []Keep{},
		Flows:       Flows{Table: 1_000_000, Idle: 2 * minutes, Duplicates: "keep"},
		Sinks:       Sinks{PCAP: &pcap},
		Admin:       Admin{Listen: "127.0.0.1:9477"},
		StopTimeout: minutes / 2,
		Log:         Log{Level: "info", Format: "text"},
	}
}

// DefaultPCAP returns the values of a pcap sink whose keys are all absent.
func DefaultPCAP() PCAP {
	return PCAP{
		Dir:       "captures",
		Group:     "session",
		Rotate:    Rotate{Size: 256 * MiB, Every: 5 * minutes},
		OpenFiles: 256,
		Buffer:    128 * MiB,
		Retain:    Retain{Free: 10},
	}
}

// DefaultFlowLog returns the values of a flowlog sink whose keys are all absent.
func DefaultFlowLog() FlowLog {
	return FlowLog{Dir: "flows", Format: "text", Interval: minutes, Layout: "plain", Buffer: 64 * MiB}
}

// Load reads the configuration file at path. Relative paths in it are relative
// to its directory, and absolute in the result.
func Load(path string) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(maxFile)+1))
	if err != nil {
		return nil, err // names the path
	}
	if len(data) > int(maxFile) {
		return nil, fmt.Errorf("%s: larger than %v; name a configuration file", path, maxFile)
	}
	return parse(path, dir, data)
}

// Parse reads a configuration. The name begins every error. Relative paths are
// left as they are, relative to the working directory. Keys that are absent have
// their default; a sink that is absent is off.
func Parse(name string, data []byte) (*Config, error) { return parse(name, "", data) }

func parse(name, dir string, data []byte) (*Config, error) {
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return nil, err
	}
	c := Default()
	aws := DefaultAWS()
	c.AWS = &aws
	flowlog, splunk := DefaultFlowLog(), DefaultSplunk()
	c.Sinks.FlowLog, c.Sinks.Splunk = &flowlog, &splunk
	if err := doc.Decode(&c); err != nil {
		return nil, err
	}
	if !doc.Has("aws") {
		c.AWS = nil
	} else {
		for i := range c.AWS.Accounts { // one without regions and one with none are the same
			c.AWS.Accounts[i].Regions = append([]string{}, c.AWS.Accounts[i].Regions...)
		}
	}
	if !doc.Has("sinks.pcap") {
		c.Sinks.PCAP = nil
	}
	if !doc.Has("sinks.flowlog") {
		c.Sinks.FlowLog = nil
	}
	if !doc.Has("sinks.splunk") {
		c.Sinks.Splunk = nil
	}
	if c.AWS != nil && !doc.Has("aws.journal") {
		c.AWS.Journal = filepath.Join(filepath.Dir(c.Sinks.dir()), c.AWS.Journal)
	}
	c.resolve(dir)
	var errs []*strictyaml.Error
	for _, p := range c.problems() {
		errs = append(errs, doc.Errorf(p.path, "%s", p.message))
	}
	if err := doc.Join(errs); err != nil {
		return nil, err
	}
	return &c, nil
}

// dir returns the directory of the first sink that is on and has one, or "". What
// is above it is where the collector keeps files, which its configuration seldom is.
func (s *Sinks) dir() string {
	switch {
	case s.PCAP != nil:
		return s.PCAP.Dir
	case s.FlowLog != nil:
		return s.FlowLog.Dir
	case s.Splunk != nil:
		return s.Splunk.Spool.Dir
	}
	return ""
}

// resolve makes relative paths relative to dir.
func (c *Config) resolve(dir string) {
	paths := []*string{&c.Sessions.File, &c.Filter.File, &c.Flows.IPRanges, &c.Admin.TokenFile}
	if c.AWS != nil {
		paths = append(paths, &c.AWS.Journal)
		if !strings.Contains(c.AWS.Changes, "://") {
			paths = append(paths, &c.AWS.Changes)
		}
	}
	if c.Sinks.PCAP != nil {
		paths = append(paths, &c.Sinks.PCAP.Dir)
	}
	if c.Sinks.FlowLog != nil {
		paths = append(paths, &c.Sinks.FlowLog.Dir)
	}
	if s := c.Sinks.Splunk; s != nil {
		paths = append(paths, &s.TokenFile, &s.CAFile, &s.CertFile, &s.KeyFile, &s.Spool.Dir)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Marshal returns the configuration as YAML that Parse reads back to the same
// value. There are no secrets in it: a Config only names the files of secrets.
func (c *Config) Marshal() ([]byte, error) {
	return yaml.Dump(c, yaml.WithLineWidth(-1))
}
