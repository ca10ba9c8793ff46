package session_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/session"
)

// The example in docs/configuration.md is a session file that gives every field
// of a session a value, but for a packet length of 0 and what tells that it was learnt.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## The session file")
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)
	if example == nil {
		t.Fatal("no example")
	}
	entries, err := session.Parse("example", []byte(example[1]))
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	for _, v := range []reflect.Value{reflect.ValueOf(entries[0]), reflect.ValueOf(entries[0].Workload)} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "PacketLength" && name != "Learned" && name != "Announced" {
				t.Errorf("%s.%s has no value", v.Type(), name)
			}
		}
	}
}
