package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxKeep is how many rules a policy has at most: a word has a bit for each.
const maxKeep = 64

// Filter says which sessions are narrowed by a mirror filter. That of a sink is
// with the sink.
type Filter struct {
	// File holds the filters. Empty means none.
	File string `yaml:"file"`

	// Sessions gives sessions a filter; the first that matches counts.
	Sessions []SessionFilter `yaml:"sessions"`
}

// A SessionFilter gives the sessions it matches the filter of a name.
type SessionFilter struct {
	Match  `yaml:",inline"`
	Filter string `yaml:"filter"`
}

// A Keep says what is kept of the frames it matches; the first that matches
// counts. The last of a list may match every frame.
type Keep struct {
	Match `yaml:",inline"`

	CIDR Criterion `yaml:"cidr,omitempty"` // of either end, prefix or address
	Port Criterion `yaml:"port,omitempty"` // of either end, 443 or 8000-8999
	Keep string    `yaml:"keep"`           // full, headers or none
}

// A Match names sessions. All that is set must hold.
type Match struct {
	Session Criterion `yaml:"session,omitempty"` // name
	Service Criterion `yaml:"service,omitempty"` // of ECS
	Cluster Criterion `yaml:"cluster,omitempty"` // of ECS
	Label   Criterion `yaml:"label,omitempty"`   // key, or key=value
	VNI     *uint32   `yaml:"vni,omitempty"`     // 0 to 16777215
}

// A Criterion is what something must be called. Empty means that it is not set, and
// cannot be written: it would match everything.
type Criterion string

// UnmarshalText reads what is not empty.
func (c *Criterion) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("is empty, which would match everything; name one, or remove the key")
	}
	*c = Criterion(text)
	return nil
}

// Labelled returns the key of the label there must be, and its value; an empty
// value is any.
func (m *Match) Labelled() (key, value string) {
	key, value, _ = strings.Cut(string(m.Label), "=")
	return key, value
}

// Prefix returns CIDR as a prefix, the zero one if it is empty.
func (k *Keep) Prefix() (netip.Prefix, error) { return parsePrefix(string(k.CIDR)) }

// Ports returns the first and the last port of Port, both 0 if it is empty.
func (k *Keep) Ports() (from, to uint16, err error) {
	if k.Port == "" {
		return 0, 0, nil
	}
	first, last, ranged := strings.Cut(string(k.Port), "-")
	if !ranged {
		last = first
	}
	low, lowErr := strconv.ParseUint(first, 10, 16)
	high, highErr := strconv.ParseUint(last, 10, 16)
	if lowErr != nil || highErr != nil || low == 0 || low > high {
		return 0, 0, errors.New(`must be a port or ports such as 443 or 8000-8999`)
	}
	return uint16(low), uint16(high), nil
}

// parsePrefix reads a prefix, or an address as the prefix of it alone; "" is the
// zero one.
func parsePrefix(text string) (netip.Prefix, error) {
	switch {
	case text == "":
		return netip.Prefix{}, nil
	case strings.Contains(text, "/"):
		return netip.ParsePrefix(text)
	}
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Zone() != "" {
		err = errors.New("has a zone")
	}
	return netip.PrefixFrom(addr, addr.BitLen()), err
}

// prefix wants what parsePrefix reads, and can be matched.
func (p *problems) prefix(path, text string) {
	switch prefix, err := parsePrefix(text); {
	case err != nil:
		p.addf(path, "must be a prefix or an address such as 10.0.0.0/8 or fd00::1, not %.60q", text)
	case prefix.Addr().Is4In6():
		p.addf(path, "%s never matches, IPv4 is compared as IPv4; write the IPv4 prefix or address", text)
	case text != "" && prefix != prefix.Masked():
		p.addf(path, "%v has bits set beyond its length; write %v", prefix, prefix.Masked())
	}
}

// FilterNames returns the filter that each key names, by the path of the key. Keys
// that name none are left out.
func (c *Config) FilterNames() map[string]string {
	names := make(map[string]string)
	add := func(path, name string) {
		if name != "" {
			names[path] = name
		}
	}
	for i := range c.Filter.Sessions {
		add(fmt.Sprintf("filter.sessions[%d].filter", i), c.Filter.Sessions[i].Filter)
	}
	if s := c.Sinks.PCAP; s != nil {
		add("sinks.pcap.filter", s.Filter)
	}
	if s := c.Sinks.FlowLog; s != nil {
		add("sinks.flowlog.filter", s.Filter)
	}
	if s := c.Sinks.Splunk; s != nil {
		add("sinks.splunk.filter", s.Filter)
	}
	return names
}

func (c *Config) validateFilter(p *problems) {
	for i := range c.Filter.Sessions {
		s := &c.Filter.Sessions[i]
		path := fmt.Sprintf("filter.sessions[%d]", i)
		s.Match.validate(p, path)
		if s.Filter == "" {
			p.addf(path+".filter", "empty; name a filter of filter.file")
		}
		if s.Match == (Match{}) && i < len(c.Filter.Sessions)-1 {
			p.addf(path, "matches every session, so that those after it never count; name a session, service, cluster, label or vni, or write it last")
		}
	}
	if c.Filter.File != "" {
		return
	}
	names := c.FilterNames()
	for _, path := range slices.Sorted(maps.Keys(names)) {
		p.addf(path, "%.60q is a filter of filter.file, which is empty; name the file", names[path])
	}
}

func (m *Match) validate(p *problems, path string) {
	if key, value := m.Labelled(); m.Label != "" && (key == "" || value == "" && string(m.Label) != key) {
		p.addf(path+".label", "must be key or key=value, not %.60q", m.Label)
	}
	if m.VNI != nil && *m.VNI >= 1<<24 {
		p.addf(path+".vni", "must be 0 to %d, not %d", 1<<24-1, *m.VNI)
	}
}

func (c *Config) validateKeep(p *problems) {
	if n := len(c.Keep); n > maxKeep {
		p.addf("keep", "has %d rules, and %d is the most; put services or labels together", n, maxKeep)
	}
	for i := range c.Keep {
		k := &c.Keep[i]
		path := fmt.Sprintf("keep[%d]", i)
		k.Match.validate(p, path)
		p.prefix(path+".cidr", string(k.CIDR))
		if _, _, err := k.Ports(); err != nil {
			p.addf(path+".port", "%v, not %.60q", err, k.Port)
		}
		p.oneOf(path+".keep", k.Keep, "full", "headers", "none")
		if k.Match == (Match{}) && k.CIDR == "" && k.Port == "" && i < len(c.Keep)-1 {
			p.addf(path, "matches every frame, so that the rules after it never count; name a session, service, cluster, label, vni, cidr or port, or write it last")
		}
	}
}
