package config_test

import (
	"reflect"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
)

// FuzzParse: an error or a value, never both; what is accepted is valid, and its
// effective configuration reads back to the same value.
func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(config.Reference)
	f.Add("sinks: {pcap: {}}")
	f.Add("sinks: {pcap: {dir: '012', rotate: {size: 1GB, every: 90s}, sync: off}}")
	f.Add("sessions: {file: \"a\\x01\\u2028b: # c\"}\nadmin: {token_file: 'null'}")
	f.Add("capture: {listen: ['[fe80::1%lo]:1'], geneve: [], interface: ~x, allow: [&a 10.0.0.0/8, *a]}")
	f.Add("flows: {table: 1_000, ip_ranges: r}\nsinks: {flowlog: {fields: '${srcaddr} ${ecs-task-id}', interval: 600s, dir: a/../b}}")
	f.Add("capture: {workers: 0x10}\nlog: {level: warn}\ndrain: 1h\n")
	f.Add("sinks: {splunk: {endpoints: [https://a, {url: 'http://[::1]:1/', weight: 2}], token_file: t, ack: off, records: [vpcflow]}}")
	f.Add("sinks: {splunk: {endpoints: [http://a], token_file: t, insecure: true, records: [], frames: {mode: all, match: {address: '::1'}}}}")
	f.Add("aws: {accounts: [{}, {role_arn: 'arn:aws:iam::111122223333:role/r', regions: [eu-west-1]}], journal: ''}")
	f.Add("filter: {file: f, sessions: [{vni: 0x7, filter: a}]}\nkeep: [{label: 'a=b=c', cidr: '::1', port: 1-2, keep: none}, {keep: full}]")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("f", []byte(text))
		if (c == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", c, err)
		}
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("Parse accepts what Validate refuses: %v", err)
		}
		effective, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse("f", effective)
		if err != nil {
			t.Fatalf("effective configuration is refused: %v\n%s", err, effective)
		}
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("read back as\n%+v, want\n%+v", again, c)
		}
		if keys := config.Restart(c, again); keys != nil {
			t.Fatalf("Restart of equal values = %q", keys)
		}
	})
}
