package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/record"
)

const minutes = Duration(time.Minute)

// A problem is a value that its key does not allow.
type problem struct{ path, message string }

// problems collects what is wrong with a configuration.
type problems []problem

func (p *problems) addf(path, format string, args ...any) {
	*p = append(*p, problem{path, fmt.Sprintf(format, args...)})
}

// Validate reports every value that its key does not allow, each on a line as
// "key.path: what; what to do". Parse and Load have called it; call it again
// after changing the value.
func (c *Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, fmt.Errorf("%s: %s", p.path, p.message))
	}
	return errors.Join(errs...)
}

func (c *Config) problems() []problem {
	var p problems
	c.Capture.validate(&p)
	c.Sessions.validate(&p)
	if c.AWS != nil {
		c.AWS.validate(&p)
	}
	c.validateFilter(&p)
	c.validateKeep(&p)
	c.Flows.validate(&p)
	c.Sinks.validate(&p)
	c.Admin.validate(&p)
	if c.Health.Listen != "" {
		p.listen("health.listen", c.Health.Listen)
	}
	within(&p, "drain", c.Drain, 0, 60*minutes)
	within(&p, "stop_timeout", c.StopTimeout, minutes/60, 60*minutes)
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "text", "json")
	return p
}

func (c *Capture) validate(p *problems) {
	seen := make(map[netip.AddrPort]string)
	for _, key := range []struct {
		path      string
		addresses []string
	}{{"capture.listen", c.Listen}, {"capture.geneve", c.Geneve}} {
		for i, address := range key.addresses {
			path := fmt.Sprintf("%s[%d]", key.path, i)
			addr, ok := p.listen(path, address)
			switch first := seen[addr]; {
			case !ok || addr.Port() == 0:
			case first != "":
				p.addf(path, "%q is already in %s; remove one of the two", address, first)
			default:
				seen[addr] = path
			}
		}
	}
	if len(c.Listen)+len(c.Geneve) == 0 {
		p.addf("capture.listen", `empty, and so is capture.geneve; name an address such as ":4789"`)
	}
	p.oneOf("capture.backend", c.Backend, "auto", "udp", "afpacket", "xdp")
	if c.Backend == "afpacket" || c.Backend == "xdp" {
		if key, address := c.Single(); key != "" {
			p.addf(key, `%q is a single address, and capture.backend %s takes a port whatever the address; write one such as ":4789", or use auto or udp`,
				address, c.Backend)
		}
	}
	within(p, "capture.ring", c.Ring, 2*MiB, GiB)
	within(p, "capture.workers", c.Workers, 0, 256)
	within(p, "capture.receive_buffer", c.ReceiveBuffer, 64*KiB, GiB)
	if len(c.Allow) == 0 {
		p.addf("capture.allow", `empty, so that nothing would be accepted; name prefixes, or "0.0.0.0/0" and "::/0" for every source`)
	}
	for i, prefix := range c.Allow {
		path := fmt.Sprintf("capture.allow[%d]", i)
		switch {
		case !prefix.IsValid():
			p.addf(path, "not a prefix; write one such as 10.0.0.0/8")
		case prefix.Addr().Is4In6():
			p.addf(path, "%v never matches, IPv4 sources are compared as IPv4; write the IPv4 prefix", prefix)
		case prefix != prefix.Masked():
			p.addf(path, "%v has bits set beyond its length; write %v", prefix, prefix.Masked())
		}
	}
}

// Single returns the first address to listen on that afpacket and xdp cannot
// take in the place of sockets, and its key: one address of the machine, or any
// port. It returns "" where there is none.
func (c *Capture) Single() (key, address string) {
	for _, list := range []struct {
		key       string
		addresses []string
	}{{"capture.listen", c.Listen}, {"capture.geneve", c.Geneve}} {
		for i, address := range list.addresses {
			addr, err := ParseListen(address)
			if err == nil && (!addr.Addr().IsUnspecified() || addr.Port() == 0) {
				return fmt.Sprintf("%s[%d]", list.key, i), address
			}
		}
	}
	return "", ""
}

func (s *Sessions) validate(p *problems) {
	p.oneOf("sessions.unknown", s.Unknown, "keep", "drop")
	within(p, "sessions.unknown_max", s.UnknownMax, 1, 65536)
}

func (f *Flows) validate(p *problems) {
	within(p, "flows.table", f.Table, 1000, 16_000_000)
	within(p, "flows.idle", f.Idle, minutes/6, 60*minutes)
	p.oneOf("flows.duplicates", f.Duplicates, "keep", "drop")
}

func (s *Sinks) validate(p *problems) {
	var dirs []sinkDir
	if s.PCAP != nil {
		s.PCAP.validate(p)
		dirs = append(dirs, sinkDir{"sinks.pcap.dir", s.PCAP.Dir})
	}
	if s.FlowLog != nil {
		s.FlowLog.validate(p)
		dirs = append(dirs, sinkDir{"sinks.flowlog.dir", s.FlowLog.Dir})
	}
	if s.Splunk != nil {
		s.Splunk.validate(p)
		dirs = append(dirs, sinkDir{"sinks.splunk.spool.dir", s.Splunk.Spool.Dir})
	}
	for i, dir := range dirs {
		for _, other := range dirs[:i] {
			p.apart(dir, other)
		}
	}
}

// A sinkDir is the directory that a key names.
type sinkDir struct{ key, path string }

// apart wants two directories of which none is in the other.
func (p *problems) apart(dir, other sinkDir) {
	if dir.path == "" || other.path == "" {
		return // said already
	}
	switch in, around := inside(dir.path, other.path), inside(other.path, dir.path); {
	case in && around:
		p.addf(dir.key, "%s is also %s; name another directory", dir.path, other.key)
	case in:
		p.addf(dir.key, "%s is inside %s %s; name a directory outside it", dir.path, other.key, other.path)
	case around:
		p.addf(dir.key, "%s has %s %s inside it; name a directory beside that", dir.path, other.key, other.path)
	}
}

// inside says whether path is dir, or below it, by their names.
func inside(path, dir string) bool {
	path, pathErr := filepath.Abs(path)
	dir, dirErr := filepath.Abs(dir)
	rel, err := filepath.Rel(dir, path)
	return errors.Join(pathErr, dirErr, err) == nil && filepath.IsLocal(rel)
}

func (s *PCAP) validate(p *problems) {
	if s.Dir == "" {
		p.addf("sinks.pcap.dir", "empty; name a directory, or remove sinks.pcap to keep no captures")
	}
	p.oneOf("sinks.pcap.group", s.Group, "session", "service", "all")
	limit(p, "sinks.pcap.rotate.size", s.Rotate.Size, KiB)
	limit(p, "sinks.pcap.rotate.every", s.Rotate.Every, minutes/60)
	limit(p, "sinks.pcap.rotate.packets", s.Rotate.Packets, 1)
	within(p, "sinks.pcap.snap_length", s.SnapLength, 0, 256*KiB)
	within(p, "sinks.pcap.open_files", s.OpenFiles, 1, 65536)
	within(p, "sinks.pcap.buffer", s.Buffer, 4*MiB, 64*GiB)
	limit(p, "sinks.pcap.sync", s.Sync, Duration(100*time.Millisecond))
	limit(p, "sinks.pcap.retain.size", s.Retain.Size, 1)
	if s.Retain.Size > 0 && s.Retain.Size < s.Rotate.Size {
		p.addf("sinks.pcap.retain.size", "%v is less than one file of sinks.pcap.rotate.size %v; give at least that",
			s.Retain.Size, s.Rotate.Size)
	}
	limit(p, "sinks.pcap.retain.age", s.Retain.Age, minutes/60)
	within(p, "sinks.pcap.retain.free", s.Retain.Free, 0, 99)
}

func (s *FlowLog) validate(p *problems) {
	if s.Dir == "" {
		p.addf("sinks.flowlog.dir", "empty; name a directory, or remove sinks.flowlog to write no flow logs")
	}
	p.oneOf("sinks.flowlog.format", s.Format, "text", "json")
	if s.Format == "json" && s.Fields != "" {
		p.addf("sinks.flowlog.fields", "only for text, json has all of them; remove it, or write format: text")
	} else if _, err := record.ParseFields(s.Fields); err != nil {
		p.addf("sinks.flowlog.fields", "%v", err)
	}
	if within(p, "sinks.flowlog.interval", s.Interval, minutes/6, 10*minutes) && time.Duration(s.Interval)%time.Second != 0 {
		p.addf("sinks.flowlog.interval", "%v is not whole seconds, as flow logs count; write one such as 60s", s.Interval)
	}
	p.oneOf("sinks.flowlog.layout", s.Layout, "plain", "hourly", "hive", "hive-hourly")
	within(p, "sinks.flowlog.buffer", s.Buffer, MiB, 16*GiB)
}

func (a *Admin) validate(p *problems) {
	if a.Listen == "" {
		return
	}
	addr, ok := p.listen("admin.listen", a.Listen)
	if ok && a.TokenFile == "" && !addr.Addr().Unmap().IsLoopback() {
		p.addf("admin.listen", `%q can be reached from outside, and admin.token_file is not set; listen on "127.0.0.1:%d", or set admin.token_file`,
			a.Listen, addr.Port())
	}
}

func (p *problems) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		p.addf(path, "must be %s or %s, not %q", strings.Join(allowed[:last], ", "), allowed[last], value)
	}
}

type number interface{ ~int | ~int64 }

// within wants least to most, and says whether it is.
func within[T number](p *problems, path string, value, least, most T) bool {
	if value < least || value > most {
		p.addf(path, "must be %v to %v, not %v", least, most, value)
		return false
	}
	return true
}

// limit wants least or more, or 0 for none.
func limit[T number](p *problems, path string, value, least T) {
	if value != 0 && value < least {
		p.addf(path, "must be %v or more, or 0 for none, not %v", least, value)
	}
}

func (p *problems) listen(path, address string) (netip.AddrPort, bool) {
	addr, err := ParseListen(address)
	if err != nil {
		p.addf(path, "%v", err)
	}
	return addr, err == nil
}

// ParseListen reads an address to listen on: ":4789" for all addresses of both
// families, given as the unspecified IPv6 address, or "127.0.0.1:4789" or
// "[::1]:4789". Port 0 lets the kernel choose.
func ParseListen(s string) (netip.AddrPort, error) {
	full := s
	if strings.HasPrefix(s, ":") {
		full = "[::]" + s
	}
	addr, err := netip.ParseAddrPort(full)
	if err != nil {
		return addr, fmt.Errorf(`must be an address and port such as ":4789", "127.0.0.1:4789" or "[::1]:4789", not %.60q`, s)
	}
	return addr, nil
}
