package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

const (
	maxEndpoints = 16  // requests that the client has out at once
	maxIndex     = 128 // so that it fits in the name of a directory
	maxName      = 128
)

func (s *Splunk) validate(p *problems) {
	s.validateEndpoints(p)
	if s.TokenFile == "" {
		p.addf("sinks.splunk.token_file", "empty; name the file that holds the token, one a line")
	}
	for _, key := range []struct{ path, index string }{
		{"index", s.Index},
		{"indexes.flow", s.Indexes.Flow},
		{"indexes.vpcflow", s.Indexes.VPCFlow},
		{"indexes.ledger", s.Indexes.Ledger},
		{"indexes.frame", s.Indexes.Frame},
	} {
		if !isIndex(key.index) {
			p.addf("sinks.splunk."+key.path, `must be the name of an index, of lower-case letters, digits, "_" and "-", the first a letter or digit, not %.60q`,
				key.index)
		}
	}
	p.oneOf("sinks.splunk.ack", s.Ack, "auto", "off", "require")
	s.validateRecords(p)
	s.Frames.validate(p)
	s.Spool.validate(p)
	limit(p, "sinks.splunk.budget.flow", s.Budget.Flow, KiB)
	limit(p, "sinks.splunk.budget.vpcflow", s.Budget.VPCFlow, KiB)
	limit(p, "sinks.splunk.budget.ledger", s.Budget.Ledger, KiB)
	limit(p, "sinks.splunk.budget.frame", s.Budget.Frame, KiB)
	within(p, "sinks.splunk.budget_top", s.BudgetTop, 0, 10_000)
	switch {
	case s.CertFile != "" && s.KeyFile == "":
		p.addf("sinks.splunk.cert_file", "has no sinks.splunk.key_file; name the file of its key")
	case s.CertFile == "" && s.KeyFile != "":
		p.addf("sinks.splunk.key_file", "has no sinks.splunk.cert_file; name the file of its certificate")
	}
	if len(s.Collector) > maxName || strings.ContainsFunc(s.Collector, unicode.IsControl) {
		p.addf("sinks.splunk.collector", "must be a name of up to %d bytes on one line", maxName)
	}
	within(p, "sinks.splunk.buffer", s.Buffer, MiB, 16*GiB)
}

func (s *Splunk) validateEndpoints(p *problems) {
	if n := len(s.Endpoints); n < 1 || n > maxEndpoints {
		p.addf("sinks.splunk.endpoints", "must be 1 to %d URLs such as https://hec.example.com:8088, not %d", maxEndpoints, n)
	}
	seen := make(map[string]int)
	for i, e := range s.Endpoints {
		path := fmt.Sprintf("sinks.splunk.endpoints[%d]", i)
		u, err := url.Parse(e.URL)
		// An error does not repeat the URL, which may hold a secret where none
		// belongs.
		switch {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			p.addf(path, "must be https://host:port and nothing else: no user, path or query")
			continue
		case u.Scheme == "http" && !s.Insecure && !loopback(u.Hostname()):
			p.addf(path, "the token would travel to %s in the clear; write https, or allow it with sinks.splunk.insecure", u.Host)
		}
		if first, ok := seen[u.Scheme+u.Host]; ok {
			p.addf(path, "is already in sinks.splunk.endpoints[%d]; remove one of the two, or give it a weight", first)
		} else {
			seen[u.Scheme+u.Host] = i
		}
		within(p, path+".weight", e.Weight, 0, 100)
	}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// isIndex says whether Splunk allows an index of this name; empty is the token's
// default.
func isIndex(name string) bool {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	return len(name) <= maxIndex && !strings.ContainsFunc(name, strange) &&
		!strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "-") && !strings.Contains(name, "kvstore")
}

func (s *Splunk) validateRecords(p *problems) {
	if len(s.Records) == 0 && s.Frames.Mode == "off" {
		p.addf("sinks.splunk.records", "empty, and sinks.splunk.frames.mode is off, so that nothing would be sent; name flow, vpcflow or ledger")
	}
	for i, name := range s.Records {
		path := fmt.Sprintf("sinks.splunk.records[%d]", i)
		p.oneOf(path, name, "flow", "vpcflow", "ledger")
		if first := slices.Index(s.Records, name); first < i {
			p.addf(path, "%.60q is already in sinks.splunk.records[%d]; remove one of the two", name, first)
		}
	}
	if v := s.VPCFlowVersion; v != 2 && v != 5 {
		p.addf("sinks.splunk.vpcflow_version", "must be 2 or 5, not %d", v)
	}
}

func (f *Frames) validate(p *problems) {
	p.oneOf("sinks.splunk.frames.mode", f.Mode, "off", "sampled", "all")
	within(p, "sinks.splunk.frames.sample", f.Sample, 1, 1_000_000_000)
	within(p, "sinks.splunk.frames.payload", f.Payload, 0, 256)
	m := f.Match
	if m.Protocol != "" {
		p.oneOf("sinks.splunk.frames.match.protocol", m.Protocol, "tcp", "udp", "icmp", "icmpv6")
	}
	if within(p, "sinks.splunk.frames.match.port", m.Port, 0, 65535) && m.Port != 0 && strings.HasPrefix(m.Protocol, "icmp") {
		p.addf("sinks.splunk.frames.match.port", "%s has no ports; remove it, or match tcp or udp", m.Protocol)
	}
	p.prefix("sinks.splunk.frames.match.address", m.Address)
	if len(m.Session) > maxName {
		p.addf("sinks.splunk.frames.match.session", "must be a name of up to %d bytes", maxName)
	}
}

func (s *Spool) validate(p *problems) {
	if s.Dir == "" {
		p.addf("sinks.splunk.spool.dir", "empty; name a directory for what is not delivered yet")
	}
	within(p, "sinks.splunk.spool.size", s.Size, 64*MiB, 64<<40)
	limit(p, "sinks.splunk.spool.age", s.Age, minutes/60)
	within(p, "sinks.splunk.spool.free", s.Free, 0, 99)
}
