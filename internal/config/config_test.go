package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/strictyaml"
)

// defaults is the default of every key.
func defaults() config.Config {
	c := config.Default()
	aws, flowlog, splunk := config.DefaultAWS(), config.DefaultFlowLog(), config.DefaultSplunk()
	c.AWS, c.Sinks.FlowLog, c.Sinks.Splunk = &aws, &flowlog, &splunk
	return c
}

// everySink is the default with every sink on, and a value for the keys that
// have no default.
func everySink() config.Config {
	c := defaults()
	c.Sinks.Splunk.Endpoints = []config.Endpoint{{URL: "https://hec.example.com:8088"}}
	c.Sinks.Splunk.TokenFile = "hec.token"
	return c
}

func TestReferenceIsDefault(t *testing.T) {
	got, err := config.Parse("reference.yaml", []byte(config.Reference))
	if err != nil {
		t.Fatal(err)
	}
	if want := everySink(); !reflect.DeepEqual(*got, want) {
		t.Errorf("reference.yaml is\n%+v, want\n%+v", *got, want)
	}
	doc, err := strictyaml.Parse("reference.yaml", []byte(config.Reference))
	if err != nil {
		t.Fatal(err)
	}
	for key := range leaves(everySink()) {
		if !doc.Has(key) {
			t.Errorf("reference.yaml does not hold %s", key)
		}
	}
}

// TestDocumentation holds the table of docs/configuration.md against the struct:
// every key and no other, each with its default, and whether a change needs a
// restart.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	defaults := leaves(defaults())
	for line := range strings.Lines(string(page)) {
		cell := strings.Split(strings.TrimSpace(line), " | ")
		key, ok := strings.CutPrefix(cell[0], "| `")
		if !ok || len(cell) != 5 {
			continue
		}
		key = strings.TrimSuffix(key, "`")
		documented = append(documented, key)
		if want := "`" + defaults[key] + "`"; cell[1] != want {
			t.Errorf("%s: documented default %s, want %s", key, cell[1], want)
		}
		want := "restart |"
		if slices.Contains(config.Reloadable, key) {
			want = "reload |"
		}
		if cell[4] != want {
			t.Errorf("%s: documented change %q, want %q", key, cell[4], want)
		}
	}
	for key := range defaults {
		if !slices.Contains(documented, key) {
			t.Errorf("%s is not in docs/configuration.md", key)
		}
	}
	for i, key := range documented {
		if _, ok := defaults[key]; !ok || slices.Contains(documented[:i], key) {
			t.Errorf("docs/configuration.md names %s, which does not exist or is named twice", key)
		}
	}
	for _, key := range config.Reloadable {
		if _, ok := defaults[key]; !ok {
			t.Errorf("reloadable key %s does not exist", key)
		}
	}
}

// TestDocumentationExample holds the example of docs/configuration.md.
func TestDocumentationExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	c, err := config.Parse("example", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Sinks.PCAP.Retain.Size, 500*config.GiB; got != want {
		t.Errorf("retain.size of the example = %v, want %v", got, want)
	}
	if got, want := c.Sinks.FlowLog.Dir, "/var/lib/periscope/flows"; got != want {
		t.Errorf("flowlog.dir of the example = %v, want %v", got, want)
	}
	if got, want := c.Sinks.Splunk.Spool.Dir, "/var/lib/periscope/spool"; got != want {
		t.Errorf("splunk.spool.dir of the example = %v, want %v", got, want)
	}
}

// TestEveryKeyIsRead sets each key alone to a value other than its default: a
// key that is read into the wrong field, or not at all, shows.
func TestEveryKeyIsRead(t *testing.T) {
	values := map[string]string{
		"capture.listen":                     `[":14789"]`,
		"capture.geneve":                     `[]`,
		"capture.backend":                    `udp`,
		"capture.interface":                  `ens5`,
		"capture.ring":                       `2MiB`,
		"capture.workers":                    `3`,
		"capture.allow":                      `[198.51.100.0/24]`,
		"capture.receive_buffer":             `1GiB`,
		"sessions.file":                      `sessions.yaml`,
		"sessions.unknown":                   `drop`,
		"sessions.unknown_max":               `1`,
		"sessions.announced":                 `true`,
		"aws.accounts":                       `[{role_arn: "arn:aws:iam::111122223333:role/periscope", external_id: x, regions: [eu-central-1, us-gov-east-1]}]`,
		"aws.targets":                        `[tmt-0a1b2c3d4e5f60718]`,
		"aws.poll":                           `5s`,
		"aws.changes":                        `s3://changes/of/us`,
		"aws.journal":                        `/var/sessions.journal`,
		"aws.journal_size":                   `4GiB`,
		"filter.file":                        `filters.yaml`,
		"filter.sessions":                    `[{service: web, label: team=shop, filter: narrow}, {filter: wide}]`,
		"keep":                               `[{vni: 7, cidr: "::1", keep: full}, {port: 8000-8999, keep: headers}, {keep: none}]`,
		"flows.table":                        `1000`,
		"flows.idle":                         `1h`,
		"flows.duplicates":                   `drop`,
		"flows.ip_ranges":                    `ip-ranges.json`,
		"sinks.flowlog.dir":                  `/var/flows`,
		"sinks.flowlog.filter":               `narrow`,
		"sinks.flowlog.format":               `json`,
		"sinks.flowlog.fields":               `"${version} ${bytes}"`,
		"sinks.flowlog.interval":             `10m`,
		"sinks.flowlog.layout":               `hive-hourly`,
		"sinks.flowlog.buffer":               `1MiB`,
		"sinks.pcap.dir":                     `/var/captures`,
		"sinks.pcap.group":                   `service`,
		"sinks.pcap.filter":                  `narrow`,
		"sinks.pcap.rotate.size":             `1GB`,
		"sinks.pcap.rotate.every":            `1h`,
		"sinks.pcap.rotate.packets":          `1000`,
		"sinks.pcap.snap_length":             `128B`,
		"sinks.pcap.open_files":              `10`,
		"sinks.pcap.buffer":                  `64MiB`,
		"sinks.pcap.sync":                    `1s`,
		"sinks.pcap.retain.size":             `50GiB`,
		"sinks.pcap.retain.age":              `72h`,
		"sinks.pcap.retain.free":             `20%`,
		"sinks.splunk.endpoints":             `[https://other.example.com]`,
		"sinks.splunk.token_file":            `other.token`,
		"sinks.splunk.filter":                `narrow`,
		"sinks.splunk.index":                 `net`,
		"sinks.splunk.indexes.flow":          `net_flow`,
		"sinks.splunk.indexes.vpcflow":       `net-vpc`,
		"sinks.splunk.indexes.ledger":        `ops`,
		"sinks.splunk.indexes.frame":         `7`,
		"sinks.splunk.ack":                   `require`,
		"sinks.splunk.records":               `[vpcflow]`,
		"sinks.splunk.vpcflow_version":       `5`,
		"sinks.splunk.frames.mode":           `sampled`,
		"sinks.splunk.frames.sample":         `1`,
		"sinks.splunk.frames.match.protocol": `tcp`,
		"sinks.splunk.frames.match.port":     `443`,
		"sinks.splunk.frames.match.address":  `10.0.0.0/8`,
		"sinks.splunk.frames.match.session":  `web`,
		"sinks.splunk.frames.payload":        `256B`,
		"sinks.splunk.spool.dir":             `/var/spool`,
		"sinks.splunk.spool.size":            `64MiB`,
		"sinks.splunk.spool.age":             `72h`,
		"sinks.splunk.spool.free":            `99%`,
		"sinks.splunk.budget.flow":           `1KiB`,
		"sinks.splunk.budget.vpcflow":        `50GB`,
		"sinks.splunk.budget.ledger":         `1MiB`,
		"sinks.splunk.budget.frame":          `1GB`,
		"sinks.splunk.budget_top":            `0`,
		"sinks.splunk.ca_file":               `ca.pem`,
		"sinks.splunk.cert_file":             `cert.pem`,
		"sinks.splunk.key_file":              `key.pem`,
		"sinks.splunk.server_name":           `hec`,
		"sinks.splunk.insecure":              `true`,
		"sinks.splunk.collector":             `edge-1`,
		"sinks.splunk.buffer":                `16GiB`,
		"admin.listen":                       `127.0.0.1:0`,
		"admin.token_file":                   `token`,
		"health.listen":                      `":9478"`,
		"drain":                              `10s`,
		"stop_timeout":                       `1m`,
		"log.level":                          `warn`,
		"log.format":                         `json`,
	}
	for key, before := range leaves(everySink()) {
		t.Run(key, func(t *testing.T) {
			value, ok := values[key]
			if !ok {
				t.Fatal("no value in this test")
			}
			// A certificate and its key go together.
			other := map[string]string{"cert_file": "key_file", "key_file": "cert_file"}[strings.TrimPrefix(key, "sinks.splunk.")]
			file := alone(key, value)
			if other != "" {
				file = strings.Replace(file, "splunk: {", "splunk: {"+other+": other.pem, ", 1)
			}
			named := key == "filter.sessions" || strings.HasSuffix(key, ".filter") // names a filter, and so needs a file
			switch {
			case key == "filter.sessions":
				file = strings.Replace(file, "filter: {", "filter: {file: filters.yaml, ", 1)
			case named:
				file += "\nfilter: {file: filters.yaml}"
			}
			c, err := config.Parse("f", []byte(file))
			if err != nil {
				t.Fatal(err)
			}
			mappings := strings.HasPrefix(value, "[{") // TestListsAreRead has what is in them
			if got := leaves(*c)[key]; !mappings && got != strings.Trim(value, `"`) || got == before {
				t.Errorf("read as %s, want %s", got, value)
			}
			def := everySink()
			if other != "" {
				def.Sinks.Splunk.CertFile, def.Sinks.Splunk.KeyFile = "other.pem", "other.pem"
			}
			if named {
				def.Filter.File = "filters.yaml"
			}
			if key == "sinks.pcap.dir" {
				def.AWS.Journal = filepath.Join(filepath.Dir(value), "sessions.journal")
			}
			want := []string{key}
			if slices.Contains(config.Reloadable, key) {
				want = nil
			}
			if got := config.Restart(&def, c); !slices.Equal(got, want) {
				t.Errorf("Restart = %q, want %q", got, want)
			}
		})
	}
}

// alone returns a file with every sink on and one value beside what is required.
func alone(key, value string) string {
	section, rest, _ := strings.Cut(key, ".")
	sinks := map[string]string{
		"pcap":    "{}",
		"flowlog": "{}",
		"splunk":  "{endpoints: [https://hec.example.com:8088], token_file: hec.token}",
	}
	file := ""
	if section == "sinks" {
		sink, rest, _ := strings.Cut(rest, ".")
		required := ""
		for _, text := range []string{"endpoints: [https://hec.example.com:8088], ", "token_file: hec.token, "} {
			if sink == "splunk" && !strings.HasPrefix(text, rest+":") {
				required += text
			}
		}
		sinks[sink] = "{" + required + nested(rest, value) + "}"
	} else {
		file = nested(key, value) + "\n"
	}
	if section != "aws" {
		file += "aws: {}\n"
	}
	return file + fmt.Sprintf("sinks: {pcap: %s, flowlog: %s, splunk: %s}", sinks["pcap"], sinks["flowlog"], sinks["splunk"])
}

// nested writes a key path as mappings in mappings.
func nested(path, value string) string {
	steps := strings.Split(path, ".")
	return strings.Join(steps, ": {") + ": " + value + strings.Repeat("}", len(steps)-1)
}

func TestListsAreRead(t *testing.T) {
	c, err := config.Parse("f", []byte(`
aws:
  accounts:
    - {role_arn: "arn:aws:iam::111122223333:role/a/b", external_id: x, regions: [eu-central-1]}
    - {}
filter:
  file: f.yaml
  sessions:
    - {session: s, service: web, cluster: c, label: k=v, vni: 0, filter: narrow}
    - {filter: wide}
keep:
  - {session: s, service: web, cluster: c, label: k, vni: 16777215, cidr: 10.0.0.0/8, port: 8000-8999, keep: full}
  - {cidr: "fd00::1", port: 443, keep: headers}
  - {keep: none}
`))
	if err != nil {
		t.Fatal(err)
	}
	zero, most := uint32(0), uint32(1<<24-1)
	accounts := []config.Account{
		{RoleARN: "arn:aws:iam::111122223333:role/a/b", ExternalID: "x", Regions: []string{"eu-central-1"}},
		{Regions: []string{}},
	}
	if !reflect.DeepEqual(c.AWS.Accounts, accounts) {
		t.Errorf("accounts %+v, want %+v", c.AWS.Accounts, accounts)
	}
	sessions := []config.SessionFilter{
		{Match: config.Match{Session: "s", Service: "web", Cluster: "c", Label: "k=v", VNI: &zero}, Filter: "narrow"},
		{Filter: "wide"},
	}
	if !reflect.DeepEqual(c.Filter.Sessions, sessions) {
		t.Errorf("filter.sessions %+v, want %+v", c.Filter.Sessions, sessions)
	}
	keep := []config.Keep{
		{Match: config.Match{Session: "s", Service: "web", Cluster: "c", Label: "k", VNI: &most}, CIDR: "10.0.0.0/8", Port: "8000-8999", Keep: "full"},
		{CIDR: "fd00::1", Port: "443", Keep: "headers"},
		{Keep: "none"},
	}
	if !reflect.DeepEqual(c.Keep, keep) {
		t.Errorf("keep %+v, want %+v", c.Keep, keep)
	}
	text, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse("f", text)
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("the effective configuration is read back as %+v, %v, want %+v:\n%s", again, err, c, text)
	}
}

func TestRestartSink(t *testing.T) {
	with, without := config.Default(), config.Default()
	without.Sinks.PCAP = nil
	want := []string{"sinks.pcap"}
	if got := config.Restart(&with, &without); !slices.Equal(got, want) {
		t.Errorf("removing a sink: Restart = %q, want %q", got, want)
	}
	if got := config.Restart(&without, &with); !slices.Equal(got, want) {
		t.Errorf("adding a sink: Restart = %q, want %q", got, want)
	}
	if got := config.Restart(&without, &without); got != nil {
		t.Errorf("no change: Restart = %q, want none", got)
	}
}

// leaves returns the text of every value by its key path.
func leaves(c config.Config) map[string]string {
	m := make(map[string]string)
	addLeaves(m, "", reflect.ValueOf(c))
	return m
}

func addLeaves(m map[string]string, path string, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		m[path] = text(v)
		return
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		addLeaves(m, strings.TrimPrefix(path+"."+name, "."), v.Field(i))
	}
}

// text returns a value as the documentation writes it.
func text(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = text(v.Index(i))
			if strings.HasPrefix(items[i], ":") && v.Index(i).Kind() == reflect.String {
				items[i] = `"` + items[i] + `"`
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.String && v.Len() == 0:
		return `""`
	}
	return fmt.Sprint(v.Interface())
}
