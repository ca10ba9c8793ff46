package record_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// announced is the format that AWS announced ECS fields with.
const announced = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} " +
	"${packets} ${bytes} ${start} ${end} ${action} ${log-status} ${ecs-task-id} ${ecs-task-arn} " +
	"${ecs-task-definition-arn} ${ecs-cluster-name} ${ecs-cluster-arn} ${ecs-container-instance-id} " +
	"${ecs-container-instance-arn} ${ecs-container-id} ${ecs-second-container-id} ${ecs-service-name}"

// TestGoldenECS renders the format for tasks of both launch types, from a
// session file alone.
func TestGoldenECS(t *testing.T) {
	data, err := os.ReadFile("testdata/sessions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := session.Parse("sessions.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	fields := parse(t, announced)
	got := []byte(fields.Header() + "\n")
	for _, e := range entries {
		r := web()
		r.Session = &packet.Session{Name: e.Name, VNI: e.VNI, Addresses: e.Addresses, Workload: e.Workload}
		r.Addr[0] = e.Addresses[0]
		for side := range r.Side {
			line := fields.AppendFlow(nil, r, side)
			got = append(got, line...)
			values := strings.Fields(string(line))
			if len(values) != 24 {
				t.Errorf("%s: %d values", e.Name, len(values))
			}
			if e.Name == "ec2" && strings.Contains(string(line), " - ") {
				t.Errorf("a field is missing: %s", line)
			}
		}
		got = fields.AppendStatus(got, r.Session, r.Begin, r.End, record.NoData)
	}
	golden(t, "testdata/ecs.log", got)
}

// golden compares with a file, which -update writes.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}
