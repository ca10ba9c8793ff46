package mirror_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

// The example of docs/mirror-rules.md is a rules file that uses every kind of key,
// and the page names every key.
func TestPage(t *testing.T) {
	data, err := os.ReadFile("../docs/mirror-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	if example == nil {
		t.Fatal("no example")
	}
	rules, err := mirror.Parse("docs/mirror-rules.md", []byte(example[1]))
	if err != nil {
		t.Fatal(err)
	}
	if len(rules.Sources) != 5 || len(rules.Targets) != 3 || rules.Sources[0].Mirror || rules.Sources[2].VNI != 77 || !rules.Sources[4].Match.All {
		t.Errorf("%+v", rules)
	}
	keys := []string{"owner", "targets", "targets[].id", "targets[].max_sources", "vni", "sources",
		"name", "match", "mirror", "targets", "filter", "packet_length", "number", "vni"}
	snake := regexp.MustCompile("([a-z])([A-Z])")
	match := reflect.TypeFor[mirror.Match]()
	for i := 1; i < match.NumField(); i++ { // after All
		keys = append(keys, strings.ToLower(snake.ReplaceAllString(match.Field(i).Name, "${1}_$2")))
	}
	for _, key := range keys {
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("no key %s", key)
		}
	}
}
