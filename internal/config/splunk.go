package config

import (
	"net/netip"
	"os"
	"path/filepath"
)

// Splunk configures sending to Splunk's HTTP Event Collector.
type Splunk struct {
	// Endpoints are 1 to 16 servers. A key that has no default.
	Endpoints []Endpoint `yaml:"endpoints"`

	// TokenFile holds one token a line, tried in order. A key that has no
	// default; [Splunk.Tokens] says which file is read.
	TokenFile string `yaml:"token_file"`

	// Index is that of every event that Indexes has no other for. Empty is the
	// token's default.
	Index   string  `yaml:"index"`
	Indexes Indexes `yaml:"indexes"`

	// Ack is auto, off or require.
	Ack string `yaml:"ack"`

	// Filter is the name of a filter of flows and frames. Empty means all.
	Filter string `yaml:"filter"`

	// Records are what is sent beside frames: flow, vpcflow and ledger.
	Records []string `yaml:"records"`

	// VPCFlowVersion is that of the lines of vpcflow: 2 or 5.
	VPCFlowVersion int `yaml:"vpcflow_version"`

	Frames Frames `yaml:"frames"`
	Spool  Spool  `yaml:"spool"`
	Budget Budget `yaml:"budget"`

	// BudgetTop is how many flows of a session and minute are sent beyond the
	// budget, 0 to 10000.
	BudgetTop int `yaml:"budget_top"`

	CAFile     string `yaml:"ca_file"`     // authorities to trust; empty is the system's
	CertFile   string `yaml:"cert_file"`   // the client's certificate, with KeyFile
	KeyFile    string `yaml:"key_file"`    // its key
	ServerName string `yaml:"server_name"` // in the servers' certificates; empty is the URL's host
	Insecure   bool   `yaml:"insecure"`    // http to more than loopback

	// Collector is the name of this collector in every event. Empty is none.
	Collector string `yaml:"collector"`

	// Buffer bounds the memory for records on their way to the spool, 1MiB to
	// 16GiB.
	Buffer Size `yaml:"buffer"`
}

// An Endpoint is a server that takes events. As text it is the URL alone.
type Endpoint struct {
	URL    string `yaml:"url"`              // https://host:port
	Weight int    `yaml:"weight,omitempty"` // share of the requests, 1 to 100; 0 is 1
}

// UnmarshalText reads the URL.
func (e *Endpoint) UnmarshalText(text []byte) error {
	*e = Endpoint{URL: string(text)}
	return nil
}

// String returns what is to be written in a list of endpoints.
func (e Endpoint) String() string { return e.URL }

// Indexes name an index for each type of record. Empty is Splunk.Index.
type Indexes struct {
	Flow    string `yaml:"flow"`
	VPCFlow string `yaml:"vpcflow"`
	Ledger  string `yaml:"ledger"`
	Frame   string `yaml:"frame"`
}

// Frames says which frames are sent as events.
type Frames struct {
	// Mode is off, sampled or all.
	Mode string `yaml:"mode"`

	// Sample is of how many frames that match one is sent, 1 to 1000000000.
	Sample int `yaml:"sample"`

	Match FrameMatch `yaml:"match"`

	// Payload is how many bytes of a frame's payload are sent, 0 to 256.
	Payload Size `yaml:"payload"`
}

// A FrameMatch names frames. All that is not empty or 0 must hold.
type FrameMatch struct {
	Protocol string `yaml:"protocol"` // tcp, udp, icmp or icmpv6
	Port     int    `yaml:"port"`     // of either end, 1 to 65535
	Address  string `yaml:"address"`  // prefix or address of either end
	Session  string `yaml:"session"`  // name
}

// Prefix returns Address as a prefix, the zero one if it is empty.
func (m FrameMatch) Prefix() (netip.Prefix, error) { return parsePrefix(m.Address) }

// Spool bounds what waits on disk until it is delivered.
type Spool struct {
	Dir  string   `yaml:"dir"`
	Size Size     `yaml:"size"` // 64MiB to 64TiB
	Age  Duration `yaml:"age"`  // 1s or more; 0 is no bound
	Free Percent  `yaml:"free"` // least free space of the file system
}

// Budget bounds what is sent in a UTC day, by type of record, 1KiB or more; 0 is
// no bound.
type Budget struct {
	Flow    Size `yaml:"flow"`
	VPCFlow Size `yaml:"vpcflow"`
	Ledger  Size `yaml:"ledger"`
	Frame   Size `yaml:"frame"`
}

// DefaultSplunk returns the values of a splunk sink whose keys are all absent.
// It is not valid: it has no endpoint and no token file.
func DefaultSplunk() Splunk {
	return Splunk{
		Endpoints:      []Endpoint{},
		Ack:            "auto",
		Records:        []string{"flow", "ledger"},
		VPCFlowVersion: 2,
		Frames:         Frames{Mode: "off", Sample: 1000},
		Spool:          Spool{Dir: "spool", Size: 4 * GiB, Free: 5},
		BudgetTop:      10,
		Buffer:         64 * MiB,
	}
}

// Tokens returns the file to read tokens from: the systemd credential with the
// name of TokenFile, if there is one now, or TokenFile.
func (s *Splunk) Tokens() string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		credential := filepath.Join(dir, filepath.Base(s.TokenFile))
		if fi, err := os.Stat(credential); err == nil && fi.Mode().IsRegular() {
			return credential
		}
	}
	return s.TokenFile
}
