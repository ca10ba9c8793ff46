package record_test

import (
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/record"
)

func TestParseFields(t *testing.T) {
	long := strings.Repeat("x", 33)
	for _, tt := range []struct {
		name, format string
		version      int
		header       string // of a format that is right
		err          string
	}{
		{name: "default", format: "", version: 2,
			header: "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"},
		{name: "one field", format: "${bytes}", version: 2, header: "bytes"},
		{name: "own order", format: "${end} ${start}", version: 2, header: "end start"},
		{name: "version 3 without version", format: "${tcp-flags}", version: 3, header: "tcp-flags"},
		{name: "version 5", format: "${traffic-path} ${version}", version: 5, header: "traffic-path version"},
		{name: "version 7 among others", format: "${ecs-task-id} ${srcaddr} ${region}", version: 7, header: "ecs-task-id srcaddr region"},
		{name: "last field", format: "${next-hop-interface-type}", version: 11, header: "next-hop-interface-type"},

		{name: "unknown", format: "${srcadr}", err: `position 1: there is no field "srcadr"; the nearest is ${srcaddr}`},
		{name: "unknown, later", format: "${version} ${service-name}",
			err: `position 12: there is no field "service-name"; the nearest is ${ecs-service-name}`},
		{name: "column name of Athena", format: "${log_status}", err: `position 1: there is no field "log_status"; the nearest is ${log-status}`},
		{name: "upper case", format: "${BYTES}", err: `position 1: there is no field "BYTES"; the nearest is ${bytes}`},
		{name: "space inside", format: "${ bytes}", err: `position 1: there is no field " bytes"; the nearest is ${bytes}`},
		{name: "no name", format: "${}", err: `position 1: there is no field ""; the nearest is ${end}`},
		{name: "long name", format: "${" + long + "}",
			err: `position 1: there is no field "` + long[:32] + `"...; the nearest is ${next-hop-interface-id}`},
		{name: "Transit Gateway", format: "${version} ${tgw-id}",
			err: "position 12: ${tgw-id} is a field of Transit Gateway flow logs; remove it"},
		{name: "twice", format: "${bytes} ${packets} ${bytes}", err: "position 21: ${bytes} is there already; remove one of the two"},
		{name: "names alone", format: "version srcaddr",
			err: `position 1: a field such as ${srcaddr} must stand here, not "version srcaddr"`},
		{name: "no brace", format: "${version} ${bytes", err: `position 12: a field such as ${srcaddr} must stand here, not "${bytes"`},
		{name: "no space", format: "${version}${bytes}", err: `position 11: one space must stand between fields, not "${bytes}"`},
		{name: "comma", format: "${version}, ${bytes}", err: `position 11: one space must stand between fields, not ", ${bytes}"`},
		{name: "newline", format: "${version}\n${bytes}", err: `position 11: one space must stand between fields, not "\n${bytes}"`},
		{name: "two spaces", format: "${version}  ${bytes}", err: `position 12: a field such as ${srcaddr} must stand here, not " ${bytes}"`},
		{name: "space before", format: " ${version}", err: `position 1: a field such as ${srcaddr} must stand here, not " ${version}"`},
		{name: "space behind", format: "${version} ", err: `position 12: a field such as ${srcaddr} must stand here, not the end`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := record.ParseFields(tt.format)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v\nwant  %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Header() != tt.header || f.Version() != tt.version {
				t.Errorf("got version %d %q, want %d %q", f.Version(), f.Header(), tt.version, tt.header)
			}
		})
	}
}

// TestFlowFields holds the table to the rules that formats rely on.
func TestFlowFields(t *testing.T) {
	all := record.FlowFields()
	if len(all) != 54 {
		t.Errorf("%d fields, AWS documents 54", len(all))
	}
	version, seen := 2, make(map[string]bool)
	for i, f := range all {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if (f.Version == 2) != (i < 14) || f.Version < version || f.Version == 6 || f.Version > 11 {
			t.Errorf("%s: version %d in place %d", f.Name, f.Version, i+1)
		}
		version = f.Version
		if f.Parquet != "STRING" && f.Parquet != "INT_32" && f.Parquet != "INT_64" {
			t.Errorf("%s: Parquet type %q", f.Name, f.Parquet)
		}
	}
	all[0].Name = "changed"
	if record.FlowFields()[0].Name != "version" {
		t.Error("FlowFields gives the table itself away")
	}
}

// FuzzParseFields: a format that is accepted is what its header says, and gives
// lines of as many values.
func FuzzParseFields(f *testing.F) {
	for _, s := range []string{"", "${version}", "${version} ${bytes}", "${srcadr}", "${tgw-id}", "${version}  ${bytes}", "$", "${}", "${\xff}"} {
		f.Add(s)
	}
	r := web()
	f.Fuzz(func(t *testing.T, format string) {
		fields, err := record.ParseFields(format)
		if (fields == nil) != (err != nil) {
			t.Fatalf("fields %v with error %v", fields, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "position ") {
				t.Errorf("error %q", err)
			}
			return
		}
		if format != "" && "${"+strings.ReplaceAll(fields.Header(), " ", "} ${")+"}" != format {
			t.Errorf("%q became %q", format, fields.Header())
		}
		names := strings.Count(fields.Header(), " ")
		for _, line := range [][]byte{
			fields.AppendFlow(nil, r, 0),
			fields.AppendStatus(nil, r.Session, r.Begin, r.End, record.NoData),
		} {
			if got := strings.Count(string(line), " "); got != names {
				t.Errorf("%d spaces between values, %d between names: %q", got, names, line)
			}
		}
	})
}
