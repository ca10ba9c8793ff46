package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A splunkSearch is a saved search of the add-on: what its SPL says, once more in
// Go. Of the events that count, those are grouped that are about the same; a
// group is named when it reaches the threshold.
type splunkSearch struct {
	name       string
	sourcetype string

	// spl is the search, with # in place of the threshold. Who changes the search
	// has to look at what is below.
	spl string

	counts func(splunkEvent, *splunkAddOn) bool
	about  func(splunkEvent) string

	// Distinct values are counted, or numbers are added up.
	distinct func(splunkEvent) string
	sum      func(splunkEvent) float64
}

var splunkSearches = []splunkSearch{{
	name:       "Periscope - Port scan",
	sourcetype: "periscope:flow",
	spl: "`periscope_events` sourcetype=periscope:flow tcp_flag=SYN NOT tcp_flag=PSH" +
		` | eval target=dest.":".dest_port` +
		" | stats dc(target) AS targets dc(dest) AS hosts dc(dest_port) AS ports min(_time) AS first_seen BY src" +
		" | where targets >= #",
	counts: func(e splunkEvent, _ *splunkAddOn) bool {
		return e.is("tcp_flag", "SYN") && !e.is("tcp_flag", "PSH") && e["dest_port"] != nil
	},
	about:    func(e splunkEvent) string { return e.text("src") },
	distinct: func(e splunkEvent) string { return e.text("dest") + ":" + e.text("dest_port") },
}, {
	name:       "Periscope - New external destination",
	sourcetype: "periscope:flow",
	spl: "`periscope_events` sourcetype=periscope:flow direction=outbound" +
		" | where NOT `periscope_internal(dest)`" +
		" | stats min(_time) AS first_seen values(src) AS src values(dest_port) AS dest_port BY dest" +
		" | lookup periscope_destinations _key AS dest OUTPUT first_seen AS known_since" +
		" | where isnull(known_since)" +
		" | outputlookup append=true key_field=dest periscope_destinations",
	counts: func(e splunkEvent, a *splunkAddOn) bool {
		return e.is("direction", "outbound") && a.external(e.text("dest")) && !slices.Contains(a.known, e.text("dest"))
	},
	about:    func(e splunkEvent) string { return e.text("dest") },
	distinct: func(e splunkEvent) string { return e.text("dest") },
}, {
	name:       "Periscope - Large outbound transfer",
	sourcetype: "periscope:flow",
	spl: "`periscope_events` sourcetype=periscope:flow direction=outbound" +
		" | where NOT `periscope_internal(dest)`" +
		" | dedup event_uid" +
		" | stats sum(bytes_in) AS sent values(dest_port) AS dest_port BY src, dest" +
		" | where sent >= #",
	counts: func(e splunkEvent, a *splunkAddOn) bool {
		return e.is("direction", "outbound") && a.external(e.text("dest"))
	},
	about: func(e splunkEvent) string { return e.text("src") + " " + e.text("dest") },
	sum:   func(e splunkEvent) float64 { return e.number("bytes_in") },
}, {
	name:       "Periscope - Collector losing packets",
	sourcetype: "periscope:ledger",
	spl: "`periscope_events` sourcetype=periscope:ledger" +
		" | dedup event_uid" +
		" | stats sum(interval.received_packets) AS received sum(interval.lost_packets) AS lost sum(interval.sink_dropped) AS dropped BY host" +
		" | fillnull value=0 lost dropped" +
		" | where lost + dropped >= #",
	counts: func(splunkEvent, *splunkAddOn) bool { return true },
	about:  func(e splunkEvent) string { return e.text("host") },
	sum: func(e splunkEvent) float64 {
		return e.number("interval.lost_packets") + e.number("interval.sink_dropped")
	},
}}

// SplunkSearches runs the saved searches of the add-on in a directory over events
// of one window, as [SplunkEvent] reads them, and returns by the name of the search
// what it names: a source, a destination, a source and a destination with a space
// between them, or a host. Known are the external destinations that were seen
// before. Thresholds and what is internal are read from the add-on; the test fails
// if a search is not the one that this package has the conditions of.
func SplunkSearches(t testing.TB, addOn string, events []map[string]any, known ...string) map[string][]string {
	t.Helper()
	saved := SplunkConf(t, filepath.Join(addOn, "default", "savedsearches.conf"))
	a := &splunkAddOn{internal: internalRanges(t, addOn), known: known}
	found := make(map[string][]string)
	for i := range splunkSearches {
		s := &splunkSearches[i]
		threshold, err := s.threshold(saved[s.name]["search"])
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if names := s.run(a, events, threshold); len(names) > 0 {
			found[s.name] = names
		}
		delete(saved, s.name)
	}
	for name := range saved {
		t.Fatalf("%s: a search without conditions in Go", name)
	}
	return found
}

// threshold returns the one of spl, 1 where the search has none.
func (s *splunkSearch) threshold(spl string) (float64, error) {
	pattern := strings.Replace(regexp.QuoteMeta(s.spl), "#", "([0-9]+)", 1)
	match := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(spl)
	if match == nil {
		return 0, fmt.Errorf("the add-on has\n%s\nand the conditions are those of\n%s", spl, s.spl)
	}
	if len(match) == 1 {
		return 1, nil
	}
	return strconv.ParseFloat(match[1], 64)
}

func (s *splunkSearch) run(a *splunkAddOn, events []map[string]any, threshold float64) []string {
	seen := make(map[string]bool)   // event_uid
	values := make(map[string]bool) // distinct ones of each group
	groups := make(map[string]float64)
	for _, m := range events {
		e := splunkEvent(m)
		if !e.is("sourcetype", s.sourcetype) || !s.counts(e, a) {
			continue
		}
		about := s.about(e)
		if s.sum != nil {
			if uid := e.text("event_uid"); uid != "" && !seen[uid] {
				seen[uid] = true
				groups[about] += s.sum(e)
			}
		} else if v := about + "\x00" + s.distinct(e); !values[v] {
			values[v] = true
			groups[about]++
		}
	}
	maps.DeleteFunc(groups, func(_ string, n float64) bool { return n < threshold })
	return slices.Sorted(maps.Keys(groups))
}

// A splunkAddOn is what the conditions ask the add-on.
type splunkAddOn struct {
	internal []netip.Prefix
	known    []string
}

func (a *splunkAddOn) external(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && !slices.ContainsFunc(a.internal, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// internalRanges returns those of the macro periscope_internal.
func internalRanges(t testing.TB, addOn string) (ranges []netip.Prefix) {
	t.Helper()
	macro := SplunkConf(t, filepath.Join(addOn, "default", "macros.conf"))["periscope_internal(1)"]["definition"]
	for _, match := range regexp.MustCompile(`cidrmatch\("([^"]*)", \$address\$\)`).FindAllStringSubmatch(macro, -1) {
		prefix, err := netip.ParsePrefix(match[1])
		if err != nil {
			t.Fatalf("periscope_internal: %v", err)
		}
		ranges = append(ranges, prefix)
	}
	return ranges
}

// A splunkEvent is an event by the names of its fields.
type splunkEvent map[string]any

// SplunkEvent reads an event as it is sent to the collector into the fields that a
// search finds: those of the event, nested ones by their path, the indexed ones,
// and host, source, sourcetype, index and _time. Numbers are json.Number.
func SplunkEvent(t testing.TB, envelope []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(envelope)))
	d.UseNumber()
	var sent map[string]any
	if err := d.Decode(&sent); err != nil {
		t.Fatalf("%v: %s", err, envelope)
	}
	e := make(map[string]any)
	for _, key := range []string{"host", "source", "sourcetype", "index"} {
		if v, found := sent[key]; found {
			e[key] = v
		}
	}
	e["_time"] = sent["time"]
	flatten(e, "", sent["event"])
	flatten(e, "", sent["fields"])
	return e
}

func flatten(e map[string]any, name string, value any) {
	object, ok := value.(map[string]any)
	if !ok {
		if name != "" {
			e[name] = value
		}
		return
	}
	for key, v := range object {
		if name != "" {
			key = name + "." + key
		}
		flatten(e, key, v)
	}
}

// is tells whether the field has the value, or one of its values is that.
func (e splunkEvent) is(name, value string) bool {
	if many, ok := e[name].([]any); ok {
		return slices.Contains(many, any(value))
	}
	return e.text(name) == value
}

// text is "" for what is not there.
func (e splunkEvent) text(name string) string {
	if e[name] == nil {
		return ""
	}
	return fmt.Sprint(e[name])
}

// number is 0 for what is not there.
func (e splunkEvent) number(name string) float64 {
	n, _ := strconv.ParseFloat(e.text(name), 64)
	return n
}
