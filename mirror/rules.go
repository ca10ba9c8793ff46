package mirror

import (
	"fmt"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// MaxFile is the size of the largest rules file, in bytes: some 5,000 rules. Reading
// one takes 40 times as much.
const MaxFile = 1 << 20

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

func (r VNIRange) has(vni uint32) bool { return r.From <= vni && vni <= r.To }

// A Rule says of the interfaces it matches whether and how they are mirrored.
type Rule struct {
	Name         string
	Match        Match
	Mirror       bool     // false leaves out what later rules would take; the rest is empty then
	Targets      []string // ids in order of preference, at least one
	Filter       string   // id
	PacketLength int      // bytes after the VXLAN header, 35 to 8500; 0 for whole packets
	Number       int      // 1 to 32766
	VNI          uint32   // that all share; 0 for one each
}

// rule returns the first rule that matches s, or nil. It is not sure while a rule up
// to that one asks for what is not known of s yet.
func (r *Rules) rule(s *Source) (rule *Rule, sure bool) {
	sure = true
	for i := range r.Sources {
		m := &r.Sources[i].Match
		sure = sure && (s.VPCID != "" || len(m.VPC) == 0 && len(m.Tag) == 0)
		if m.Meets(s) {
			return &r.Sources[i], sure
		}
	}
	return nil, sure
}

// Load reads a rules file of at most MaxFile bytes. See Parse.
func Load(path string) (*Rules, error) {
	data, _, err := strictyaml.ReadFile("rules file", path, MaxFile)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse reads rules of at most MaxFile bytes, as docs/mirror-rules.md has them. name,
// usually that of the file, begins every error; errors say line, column and key path,
// and several are joined, one a line. There are either rules or an error.
func Parse(name string, data []byte) (*Rules, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s: rules have at most %d bytes; use patterns instead of many names", name, MaxFile)
	}
	doc, err := strictyaml.Parse(name, data)
	if err != nil {
		return nil, err
	}
	d := document{Owner: "periscope", VNI: vniRange{From: 1 << 20, To: maxVNI}}
	if err := doc.Decode(&d); err != nil {
		return nil, err
	}
	c := checker{doc: doc}
	rules := c.rules(&d)
	if len(c.errs) > 0 {
		return nil, doc.Join(c.errs)
	}
	return rules, nil
}
