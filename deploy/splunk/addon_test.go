// Package splunk_test holds the add-on for Splunk and the page about it: files
// have the settings that Splunk knows, searches ask for fields that events have,
// and figures are those that were measured. It does not need Splunk, which is
// not there to test with.
package splunk_test

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/record"
)

const addOn = "TA-periscope"

// settings are those that the files may have, as the .spec files of Splunk name
// them.
var settings = map[string]string{
	"app.conf":         `is_configured|is_visible|label|author|description|version|id|name|check_for_updates`,
	"collections.conf": `field\.\w+`,
	"eventtypes.conf":  `search|description`,
	"macros.conf":      `args|definition`,
	"props.conf":       `SHOULD_LINEMERGE|TRUNCATE|KV_MODE|EVAL-\w+|category|description`,
	"tags.conf":        `\w+`,
	"transforms.conf":  `external_type|collection|fields_list`,
	"default.meta":     `access|export`,
	"savedsearches.conf": `search|description|disabled|enableSched|cron_schedule|dispatch\.(earliest|latest)_time|` +
		`counttype|relation|quantity|alert\.(track|severity|digest_mode|suppress|suppress\.fields|suppress\.period)`,
}

func conf(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	return judge.SplunkConf(t, filepath.Join(addOn, "default", name))
}

func TestSettings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(addOn, "*", "*.*"))
	if err != nil || len(files) != len(settings) {
		t.Fatalf("%v, files %q, and settings are known of %d", err, files, len(settings))
	}
	for _, file := range files {
		known := regexp.MustCompile("^(" + settings[filepath.Base(file)] + ")$")
		for stanza, keys := range judge.SplunkConf(t, file) {
			for key, value := range keys {
				if !known.MatchString(key) || value == "" {
					t.Errorf("%s, [%s]: %s = %q", file, stanza, key, value)
				}
			}
		}
	}
}

// TestReferences: what one file names is in the other.
func TestReferences(t *testing.T) {
	types := conf(t, "eventtypes.conf")
	props := conf(t, "props.conf")
	for name, e := range types {
		sourcetype, found := strings.CutPrefix(e["search"], "sourcetype=")
		if !found || props[sourcetype] == nil {
			t.Errorf("eventtype %s searches %s", name, e["search"])
		}
	}
	for _, sourcetype := range []string{record.FlowSourcetype, record.LedgerSourcetype, record.FrameSourcetype, "periscope:check"} {
		if p := props[sourcetype]; p["KV_MODE"] != "json" {
			t.Errorf("%s: %v", sourcetype, p)
		}
	}
	// The data model asks for these two ("Network Traffic", CIM).
	flow := conf(t, "tags.conf")["eventtype=periscope_flow"]
	if types["periscope_flow"]["search"] != "sourcetype="+record.FlowSourcetype ||
		flow["network"] != "enabled" || flow["communicate"] != "enabled" {
		t.Errorf("tags of flows: %v", flow)
	}
	for name, transform := range conf(t, "transforms.conf") {
		if conf(t, "collections.conf")[transform["collection"]] == nil {
			t.Errorf("transform %s has collection %s", name, transform["collection"])
		}
	}
	// Splunk calls an array name{}.
	for sourcetype, keys := range map[string][]record.Key{
		record.FlowSourcetype: record.EventKeys(), record.FrameSourcetype: record.FrameKeys(),
	} {
		for _, k := range keys {
			want := ""
			if strings.HasPrefix(k.Type, "array") {
				want = "'" + k.Name + "{}'"
			}
			if got := props[sourcetype]["EVAL-"+k.Name]; got != want {
				t.Errorf("%s: EVAL-%s is %q, want %q", sourcetype, k.Name, got, want)
			}
		}
	}
}

// TestMacro: the place of the events is one term, wherever it is written.
func TestMacro(t *testing.T) {
	definitions := []string{"definition = " + conf(t, "macros.conf")["periscope_events"]["definition"]}
	for _, file := range []string{page, addOn + "/README.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		definitions = append(definitions, regexp.MustCompile(`definition = .*index=.*`).FindString(string(text)))
	}
	for _, d := range definitions {
		if !strings.HasPrefix(d, "definition = (") || !strings.HasSuffix(d, ")") {
			t.Errorf("%q has no parentheses", d)
		}
	}
}

func TestSavedSearches(t *testing.T) {
	known := fields(t)
	for name, s := range conf(t, "savedsearches.conf") {
		unknown(t, name, s["search"], known)
		if len(strings.Fields(s["cron_schedule"])) != 5 || s["dispatch.earliest_time"] == "" || s["dispatch.latest_time"] == "" ||
			s["description"] == "" || s["counttype"] != "number of events" || s["relation"] != "greater than" || s["quantity"] != "0" {
			t.Errorf("%s: %v", name, s)
		}
		if s["disabled"] != "1" {
			t.Errorf("%s is not disabled as shipped", name)
		}
		if countsEach.MatchString(s["search"]) && !strings.Contains(s["search"], "| dedup event_uid |") {
			t.Errorf("%s counts events that may have come twice", name)
		}
		grouped(t, name, s["search"])
		for field := range strings.SplitSeq(s["alert.suppress.fields"], ",") {
			if by := s["search"][strings.LastIndex(s["search"], " BY "):]; field != "" && !strings.Contains(by, field) {
				t.Errorf("%s is suppressed by %s, which its results do not have", name, field)
			}
		}
	}
}

// A dashboard is a page of Dashboard Studio.
type dashboard struct {
	DataSources map[string]struct {
		Type, Name string
		Options    struct{ Query string }
	}
	Visualizations map[string]struct {
		Type, Title string
		DataSources map[string]string
		Options     map[string]any
		Context     map[string]any
	}
	Inputs map[string]struct {
		Type, Title string
		Options     map[string]string
	}
	Defaults           map[string]any
	Title, Description string
	Layout             struct {
		Type         string
		Options      struct{ Width int }
		GlobalInputs []string
		Structure    []struct {
			Item, Type string
			Position   struct{ X, Y, W, H int }
		}
	}
}

func TestDashboard(t *testing.T) {
	known := fields(t)
	var page struct {
		XMLName    xml.Name `xml:"dashboard"`
		Version    string   `xml:"version,attr"`
		Label      string   `xml:"label"`
		Definition string   `xml:"definition"`
	}
	readXML(t, "views/periscope.xml", &page)
	var d dashboard
	decoder := json.NewDecoder(strings.NewReader(page.Definition))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil || page.Version != "2" || page.Label == "" {
		t.Fatalf("%v, version %q, label %q", err, page.Version, page.Label)
	}
	for name, s := range d.DataSources {
		unknown(t, name, s.Options.Query, known)
		if s.Type != "ds.search" || s.Name == "" {
			t.Errorf("%s: %+v", name, s)
		}
		if countsEach.MatchString(s.Options.Query) && !strings.Contains(s.Options.Query, "| dedup event_uid |") {
			t.Errorf("%s counts events that may have come twice", name)
		}
		grouped(t, name, s.Options.Query)
	}
	shown := make(map[string]bool)
	for name, v := range d.Visualizations {
		source := v.DataSources["primary"]
		if _, found := d.DataSources[source]; !found || !strings.HasPrefix(name, "viz_") || !strings.HasPrefix(v.Type, "splunk.") {
			t.Errorf("%s shows %s as %s", name, source, v.Type)
		}
		shown[source] = true
	}
	for name := range d.DataSources {
		if !shown[name] {
			t.Errorf("%s is not shown", name)
		}
	}
	layout(t, &d)
}

// layout: everything has a place on the grid, and one of its own.
func layout(t *testing.T, d *dashboard) {
	t.Helper()
	placed := make(map[string]bool)
	for i, b := range d.Layout.Structure {
		p := b.Position
		if _, found := d.Visualizations[b.Item]; !found || placed[b.Item] || p.X < 0 || p.Y < 0 || p.X+p.W > d.Layout.Options.Width {
			t.Errorf("block %d: %+v", i, b)
		}
		placed[b.Item] = true
		for _, other := range d.Layout.Structure[:i] {
			q := other.Position
			if p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H {
				t.Errorf("%s is over %s", b.Item, other.Item)
			}
		}
	}
	if len(placed) != len(d.Visualizations) {
		t.Errorf("%d of %d are placed", len(placed), len(d.Visualizations))
	}
	for _, name := range d.Layout.GlobalInputs {
		if d.Inputs[name].Options["token"] != "global_time" {
			t.Errorf("input %s: %+v", name, d.Inputs[name])
		}
	}
}

// TestNavigation: the views of the add-on are there; others come with Splunk.
func TestNavigation(t *testing.T) {
	var nav struct {
		Views []struct {
			Name string `xml:"name,attr"`
		} `xml:"view"`
	}
	readXML(t, "nav/default.xml", &nav)
	for _, v := range nav.Views {
		_, err := os.Stat(filepath.Join(addOn, "default/data/ui/views", v.Name+".xml"))
		if err != nil && !slices.Contains([]string{"search", "reports", "alerts", "dashboards"}, v.Name) {
			t.Errorf("no view %s", v.Name)
		}
	}
	if len(nav.Views) == 0 {
		t.Error("no view")
	}
}

func readXML(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(addOn, "default/data/ui", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
