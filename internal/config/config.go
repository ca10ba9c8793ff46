// Package config turns one YAML file into typed values: defaults filled in,
// units read, relative paths resolved, every error with its line, column and key
// path.
//
// A [Config] holds a few kilobytes and no secrets, only the names of the files
// that hold them. It is a plain value: whoever changes it calls
// [Config.Validate] and does not share it meanwhile.
//
// The package knows what a key may hold, not what its stage does with it: it
// opens no file but the configuration and looks at no interface.
package config

import "net/netip"

// A Config is everything that can be configured. [Default] gives the value of
// every key that a file does not name; docs/configuration.md describes them.
type Config struct {
	Capture  Capture  `yaml:"capture"`
	Sessions Sessions `yaml:"sessions"`

	// AWS, if not nil, is asked whose sessions there are.
	AWS *AWS `yaml:"aws,omitempty"`

	Filter Filter `yaml:"filter"`

	// Keep says what is kept of frames, at most 64 rules. Frames that none
	// matches are kept whole.
	Keep []Keep `yaml:"keep"`

	Flows  Flows  `yaml:"flows"`
	Sinks  Sinks  `yaml:"sinks"`
	Admin  Admin  `yaml:"admin"`
	Health Health `yaml:"health"`

	// Drain is how long to read on, unready, after SIGTERM.
	Drain Duration `yaml:"drain"`

	// StopTimeout bounds the stop that follows, 1s to 1h.
	StopTimeout Duration `yaml:"stop_timeout"`

	Log Log `yaml:"log"`
}

// Capture says where datagrams come from.
type Capture struct {
	// Listen are the addresses of the VXLAN sockets and Geneve those of the
	// GENEVE sockets, as [ParseListen] reads them. Either may be empty.
	Listen []string `yaml:"listen"`
	Geneve []string `yaml:"geneve"`

	// Backend is auto, udp, afpacket or xdp. The UDP sockets are there with
	// each of them.
	Backend string `yaml:"backend"`

	// Interface is the one that afpacket and xdp take over. Empty means that
	// of the default route. With udp only its loss counters are read.
	Interface string `yaml:"interface"`

	// Ring is the memory of one worker's ring with afpacket, and of one
	// queue's with xdp, 2MiB to 1GiB.
	Ring Size `yaml:"ring"`

	// Workers is 0, one for each core, to 256.
	Workers int `yaml:"workers"`

	// Allow are the outer sources accepted live. It is not empty.
	Allow []netip.Prefix `yaml:"allow"`

	// ReceiveBuffer is asked of the kernel for each socket, 64KiB to 1GiB.
	ReceiveBuffer Size `yaml:"receive_buffer"`
}

// Sessions says where sessions are described, and what becomes of others.
type Sessions struct {
	// File is the session file. Empty means none.
	File string `yaml:"file"`

	// Unknown is keep or drop.
	Unknown string `yaml:"unknown"`

	// UnknownMax is how many unknown sessions are kept apart, 1 to 65536; with AWS
	// by VNI, and at least 20,000 others by source.
	UnknownMax int `yaml:"unknown_max"`

	// Announced says that a sender which neither File nor AWS explains is who it
	// says it is. What is written of an unknown sender then waits 4 s.
	Announced bool `yaml:"announced"`
}

// Flows configures the accounting of flows. It happens when a sink of flow
// records is on.
type Flows struct {
	// Table is how many flows are accounted for at once, 1000 to 16000000:
	// as many as a single worker can.
	Table int `yaml:"table"`

	// Idle is how long a flow without packets stays in the table, 10s to 1h.
	Idle Duration `yaml:"idle"`

	// Duplicates says what becomes of packets seen through another session
	// before: keep or drop. They are counted either way.
	Duplicates string `yaml:"duplicates"`

	// IPRanges is AWS's list of its address ranges. Empty means none.
	IPRanges string `yaml:"ip_ranges"`
}

// Sinks says what is kept. A nil sink is off.
type Sinks struct {
	PCAP    *PCAP    `yaml:"pcap,omitempty"`
	FlowLog *FlowLog `yaml:"flowlog,omitempty"`
	Splunk  *Splunk  `yaml:"splunk,omitempty"`
}

// PCAP configures the capture files.
type PCAP struct {
	Dir string `yaml:"dir"`

	// Group is what shares a file: session, service or all.
	Group string `yaml:"group"`

	// Filter is the name of a filter. Empty means every frame.
	Filter string `yaml:"filter"`

	Rotate Rotate `yaml:"rotate"`

	// SnapLength is the most bytes kept of a frame, up to 256KiB; 0 means all.
	SnapLength Size `yaml:"snap_length"`

	// OpenFiles is the most files open at once, 1 to 65536.
	OpenFiles int `yaml:"open_files"`

	// Buffer bounds the memory for frames on their way to files, 4MiB to 64GiB.
	Buffer Size `yaml:"buffer"`

	// Sync is how often files being written are synced to the disk, 100ms or
	// more; 0 leaves it to the kernel until a file is complete.
	Sync Duration `yaml:"sync"`

	Retain Retain `yaml:"retain"`
}

// Rotate says when a capture file is complete. Whatever is reached first
// counts; 0 means no such limit.
type Rotate struct {
	Size    Size     `yaml:"size"`    // at least 1KiB
	Every   Duration `yaml:"every"`   // at least 1s
	Packets int      `yaml:"packets"` // frames
}

// Retain says which complete files are removed, oldest first; 0 means no such
// limit.
type Retain struct {
	Size Size     `yaml:"size"` // of all files together
	Age  Duration `yaml:"age"`  // since completion
	Free Percent  `yaml:"free"` // least free space of the file system
}

// FlowLog configures the flow-log files.
type FlowLog struct {
	Dir string `yaml:"dir"`

	// Filter is the name of a filter. Empty means every record.
	Filter string `yaml:"filter"`

	// Format is text or json.
	Format string `yaml:"format"`

	// Fields are those of a line of text, as record.ParseFields reads them.
	// Empty means AWS's default format, and is all that json allows.
	Fields string `yaml:"fields"`

	// Interval is the most time one record covers, 10s to 10m, in whole seconds.
	Interval Duration `yaml:"interval"`

	// Layout is plain, hourly, hive or hive-hourly.
	Layout string `yaml:"layout"`

	// Buffer bounds the memory for records on their way to files, 1MiB to 16GiB.
	Buffer Size `yaml:"buffer"`
}

// Admin configures metrics, health and the API over HTTP.
type Admin struct {
	// Listen is as [ParseListen] reads it. Empty means off.
	Listen string `yaml:"listen"`

	// TokenFile holds the bearer token that requests must carry; without one,
	// Listen must be a loopback address.
	TokenFile string `yaml:"token_file"`
}

// Health configures the listener for load balancers.
type Health struct {
	// Listen is as [ParseListen] reads it. Empty means off.
	Listen string `yaml:"listen"`
}

// Log configures the log on standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json
}
