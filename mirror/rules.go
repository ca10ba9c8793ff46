package mirror

// Rules say what is wanted. They are immutable, and checked by Parse.
type Rules struct {
	Owner   string       // value of the tag periscope:owner, by which own sessions are known
	Targets []TargetRule // that may be used, each once
	VNIs    VNIRange     // of sessions with one of their own
	Sources []Rule       // the first that matches an interface counts
}

// A TargetRule is a target that may be used.
type TargetRule struct {
	ID         string
	MaxSources int // interfaces mirrored there by anyone; 0: 10 for a network interface, else no limit
}

// A VNIRange is all VNIs from From to To, both included, 1 to 2^24-1.
type VNIRange struct{ From, To uint32 }

// A Rule says of the interfaces it matches whether and how they are mirrored.
type Rule struct {
	Name         string
	Match        Match
	Mirror       bool     // false leaves out what later rules would take
	Targets      []string // ids in order of preference; never empty if Mirror is set
	Filter       string   // id
	PacketLength int      // bytes after the VXLAN header; 0 for whole packets
	Number       int      // 1 to 32766
	VNI          uint32   // that all share; 0 for one each
}

// Load reads a rules file. See Parse.
func Load(path string) (*Rules, error) { return nil, nil }

// Parse reads rules.
func Parse(name string, data []byte) (*Rules, error) { return nil, nil }
