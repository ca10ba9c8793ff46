package mirror

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/periscope-collector/periscope/internal/strictyaml"
)

const (
	maxVNI    = 1<<24 - 1 // RFC 7348, section 5
	maxNumber = 32766     // EC2 API, CreateTrafficMirrorSession, as are the lengths
	minLength = 35        // an Ethernet and an IPv4 header and a byte
	maxLength = 8500
	maxName   = 128 // bytes of a name; the value of a tag has 256 characters
	maxText   = 256 // bytes of a pattern
)

// document is a rules file as it is written.
type document struct {
	Owner   string       `yaml:"owner"`
	Targets []targetRule `yaml:"targets"`
	VNI     vniRange     `yaml:"vni"`
	Sources []sourceRule `yaml:"sources"`
}

type targetRule struct {
	ID         string `yaml:"id"`
	MaxSources int    `yaml:"max_sources"`
}

type vniRange struct {
	From uint32 `yaml:"from"`
	To   uint32 `yaml:"to"`
}

type sourceRule struct {
	Name         string   `yaml:"name"`
	Match        match    `yaml:"match"`
	Mirror       *bool    `yaml:"mirror"`
	Targets      []string `yaml:"targets"`
	Filter       string   `yaml:"filter"`
	PacketLength int      `yaml:"packet_length"`
	Number       *int     `yaml:"number"`
	VNI          *uint32  `yaml:"vni"`
}

// A checker finds what YAML and types alone do not tell.
type checker struct {
	doc  *strictyaml.Document
	errs []*strictyaml.Error
}

func (c *checker) errorf(path, format string, args ...any) {
	c.errs = append(c.errs, c.doc.Errorf(path, format, args...))
}

func (c *checker) rules(d *document) *Rules {
	if !c.doc.Has("sources") {
		c.errorf("", "no key sources; write sources: [] for none, which ends all sessions of this owner")
	}
	c.text("owner", d.Owner)
	if d.VNI.From < 1 || d.VNI.To > maxVNI || d.VNI.From > d.VNI.To {
		c.errorf("vni", "must be a range of 1 to %d, not %d to %d", maxVNI, d.VNI.From, d.VNI.To)
	}
	rules := &Rules{Owner: d.Owner, VNIs: VNIRange(d.VNI)}
	targets := c.targets(d.Targets, rules)
	names := make(map[string]bool, len(d.Sources))
	all := -1
	for i := range d.Sources {
		from, at := &d.Sources[i], fmt.Sprintf("sources[%d]", i)
		c.text(at+".name", from.Name)
		if from.Name != "" && names[from.Name] {
			c.errorf(at+".name", "%q is the name of another rule above; give each its own", from.Name)
		}
		names[from.Name] = true
		c.match(at+".match", &from.Match)
		if all >= 0 {
			c.errorf(at, "is never reached, since sources[%d] matches all; put it before that", all)
		} else if from.Match.All {
			all = i
		}
		rules.Sources = append(rules.Sources, c.rule(at, from, rules, targets))
	}
	return rules
}

// targets checks the targets that may be used, and returns their ids.
func (c *checker) targets(list []targetRule, rules *Rules) map[string]bool {
	known := make(map[string]bool, len(list))
	for i, t := range list {
		at := fmt.Sprintf("targets[%d]", i)
		c.id(at+".id", "tmt", t.ID)
		if known[t.ID] && t.ID != "" {
			c.errorf(at+".id", "%s is listed above; list each target once", t.ID)
		}
		if t.MaxSources < 0 || t.MaxSources == 0 && c.doc.Has(at+".max_sources") {
			c.errorf(at+".max_sources", "must be 1 or more, not %d; without the key it is AWS's quota", t.MaxSources)
		}
		known[t.ID] = true
		rules.Targets = append(rules.Targets, TargetRule(t))
	}
	return known
}

// rule checks one rule but for its name and match.
func (c *checker) rule(at string, from *sourceRule, rules *Rules, targets map[string]bool) Rule {
	to := Rule{Name: from.Name, Match: Match(from.Match), Mirror: from.Mirror == nil || *from.Mirror}
	if !to.Mirror {
		for _, key := range []string{"targets", "filter", "packet_length", "number", "vni"} {
			if c.doc.Has(at + "." + key) {
				c.errorf(at+"."+key, "means nothing with mirror: false; remove one of the two")
			}
		}
		return to
	}
	to.Targets = c.chosen(at+".targets", from.Targets, rules, targets)
	to.Filter = from.Filter
	c.id(at+".filter", "tmf", to.Filter)
	if to.PacketLength = from.PacketLength; to.PacketLength != 0 && (to.PacketLength < minLength || to.PacketLength > maxLength) {
		c.errorf(at+".packet_length", "must be %d to %d bytes, or 0 for whole packets, not %d", minLength, maxLength, to.PacketLength)
	}
	if to.Number = 1; from.Number != nil {
		to.Number = *from.Number
	}
	if to.Number < 1 || to.Number > maxNumber {
		c.errorf(at+".number", "must be 1 to %d, not %d", maxNumber, to.Number)
	}
	if from.VNI != nil {
		if to.VNI = *from.VNI; to.VNI < 1 || to.VNI > maxVNI {
			c.errorf(at+".vni", "must be 1 to %d, not %d; without the key each session has its own", maxVNI, to.VNI)
		}
	}
	return to
}

// chosen returns the targets of a rule: all there are, if it names none.
func (c *checker) chosen(at string, ids []string, rules *Rules, targets map[string]bool) []string {
	if !c.doc.Has(at) {
		for _, t := range rules.Targets {
			ids = append(ids, t.ID)
		}
		if len(ids) == 0 {
			c.errorf("targets", "no target is listed, and a rule needs one")
		}
		return ids
	}
	if len(ids) == 0 {
		c.errorf(at, "is empty; name a target, or remove the key for all of them")
	}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		switch path := fmt.Sprintf("%s[%d]", at, i); {
		case !targets[id]:
			c.errorf(path, "%.60q is not listed below targets", id)
		case seen[id]:
			c.errorf(path, "%s is there twice", id)
		}
		seen[id] = true
	}
	return ids
}

// match checks that a rule says what it is about.
func (c *checker) match(at string, m *match) {
	named := m.All
	for _, l := range (*Match)(m).lists() {
		path := at + "." + l.key
		if !c.doc.Has(path) {
			continue
		}
		if named = true; len(l.patterns) == 0 {
			c.errorf(path, "is empty; name something, or remove the key")
		}
		for i, p := range l.patterns {
			path := fmt.Sprintf("%s[%d]", path, i)
			if c.text(path, p); l.id != "" && p != "" && !strings.ContainsAny(p, "*?") {
				c.id(path, l.id, p)
			}
		}
	}
	if !named {
		c.errorf(at, "says nothing; write match: all for every interface")
	}
}

// text checks a name or a pattern.
func (c *checker) text(path, s string) {
	most := maxName
	if strings.Contains(path, ".match.") {
		most = maxText
	}
	switch {
	case s == "" && c.doc.Has(path):
		c.errorf(path, "is empty")
	case s == "":
		c.errorf(path, "is missing")
	case len(s) > most:
		c.errorf(path, "has at most %d bytes, not %d", most, len(s))
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.errorf(path, "has printable characters only, unlike %.60q", s)
	}
}

// ids are what AWS gives out: a kind, and 8 or 17 digits.
var ids = regexp.MustCompile(`^[a-z]+-([0-9a-f]{8}|[0-9a-f]{17})$`)

// id checks an id of a kind.
func (c *checker) id(path, kind, id string) {
	if !strings.HasPrefix(id, kind+"-") || !ids.MatchString(id) {
		c.errorf(path, "must be an id such as %s-0123456789abcdef0, not %.60q", kind, id)
	}
}
