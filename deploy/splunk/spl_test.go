package splunk_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/record"
)

// words are those of SPL that the searches use: commands, their options, clauses
// and functions.
var words = strings.Fields(`
	NOT AS BY OUTPUT
	convert dedup eval fillnull lookup outputlookup sort stats timechart where
	append key_field limit true value
	coalesce count ctime dc isnull max min perc95 sum values`)

// fields returns what a search finds in the events of a source type, by it.
func fields(t *testing.T) map[string][]string {
	t.Helper()
	always := []string{"_time", "host", "source", "sourcetype", "index"}
	flow := slices.Clone(always)
	for _, k := range record.EventKeys() {
		flow = append(flow, k.Name)
	}
	// The pipeline's test holds this file against docs/formats.md.
	golden, err := os.ReadFile("../../internal/pipeline/testdata/ledger_event.json")
	if err != nil {
		t.Fatal(err)
	}
	events := record.NewEvents(record.EventConfig{})
	object, _, _ := bytes.Cut(golden, []byte("\n"))
	ledger := always
	for name := range judge.SplunkEvent(t, events.AppendLedger(nil, 0, object, []byte("uid"))) {
		ledger = append(ledger, name)
	}
	return map[string][]string{record.FlowSourcetype: flow, record.LedgerSourcetype: ledger}
}

// countsEach matches what an event that came twice changes.
var countsEach = regexp.MustCompile(`\b(sum|perc95)\(|\bcount\b`)

// everywhere are fields that every event has that is searched. Splunk leaves out
// events without a field that it groups by, so a search fills or makes others.
// TCP has ports.
var everywhere = []string{"host", "session", "src", "dest"}

// grouped tells what a search groups by and some events do not have.
func grouped(t *testing.T, name, spl string) {
	t.Helper()
	for _, by := range regexp.MustCompile(` BY ([\w, ]+)`).FindAllStringSubmatch(spl, -1) {
		for field := range strings.SplitSeq(strings.ReplaceAll(by[1], " ", ""), ",") {
			made := strings.Contains(spl, "| eval "+field+"=") || strings.Contains(spl, `| fillnull value="unknown" `+field+" |")
			tcp := field == "dest_port" && strings.Contains(spl, " server_rtt_us=* ")
			if !made && !tcp && !slices.Contains(everywhere, field) {
				t.Errorf("%s leaves out events without %q", name, field)
			}
		}
	}
}

var (
	splMacro      = regexp.MustCompile("`(\\w+)(?:\\((\\w+)\\))?`")
	splSourcetype = regexp.MustCompile(`\bsourcetype=(\S+)`)
	splNew        = regexp.MustCompile(`\bAS (\w+)|\beval (\w+)=`)
	splLookup     = regexp.MustCompile(`\b(?:output)?lookup (?:append=true key_field=\w+ )?(\w+)(?: _key AS)?`)
	splText       = regexp.MustCompile(`"[^"]*"`)
	splWord       = regexp.MustCompile(`[A-Za-z_]\w*(?:\.\w+)*`)
)

// unknown tells what a search asks for that its events do not have, the add-on
// does not define, and the search does not make.
func unknown(t *testing.T, name, spl string, known map[string][]string) {
	t.Helper()
	sourcetype := splSourcetype.FindStringSubmatch(spl)
	if sourcetype == nil || known[sourcetype[1]] == nil || !strings.HasPrefix(spl, "`periscope_events` sourcetype=") {
		t.Errorf("%s has no source type that is known: %s", name, spl)
		return
	}
	have := slices.Concat(known[sourcetype[1]], words)
	for _, m := range splMacro.FindAllStringSubmatch(spl, -1) {
		if m[2] != "" {
			m[1] += "(1)"
		}
		if conf(t, "macros.conf")[m[1]] == nil {
			t.Errorf("%s: no macro %s", name, m[1])
		}
	}
	for _, m := range splNew.FindAllStringSubmatch(spl, -1) {
		have = append(have, m[1]+m[2])
	}
	for _, m := range splLookup.FindAllStringSubmatch(spl, -1) {
		transform := conf(t, "transforms.conf")[m[1]]
		if transform == nil {
			t.Errorf("%s: no lookup %s", name, m[1])
		}
		for f := range strings.SplitSeq(transform["fields_list"], ",") {
			have = append(have, strings.TrimSpace(f))
		}
		have = append(have, m[1])
	}
	terms, pipe, _ := strings.Cut(spl, " | ")
	terms = regexp.MustCompile(`=\S+`).ReplaceAllString(terms, "")
	rest := splText.ReplaceAllString(splMacro.ReplaceAllString(terms+" | "+pipe, "$2"), " ")
	for _, word := range splWord.FindAllString(rest, -1) {
		if !slices.Contains(have, word) {
			t.Errorf("%s: nothing is called %s: %s", name, word, spl)
		}
	}
}
