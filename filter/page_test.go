package filter_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/filter"
)

// The examples of the documentation are filter files, and docs/formats.md names
// every key of a rule.
func TestPages(t *testing.T) {
	for path, heading := range map[string]string{
		"../docs/formats.md":       "## Filter file",
		"../docs/configuration.md": "The filter file has AWS's rules",
	} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(page), heading)
		example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(section)
		if example == nil {
			t.Errorf("%s: no example", path)
			continue
		}
		if f, err := filter.Parse(path, []byte(example[1])); err != nil || len(f.Filters) == 0 {
			t.Errorf("%+v, %v", f, err)
		}
		for _, key := range []string{"number", "action", "direction", "protocol", "source", "destination", "source_ports", "destination_ports", "description"} {
			if strings.HasSuffix(path, "formats.md") && !strings.Contains(section, "`"+key+"`") {
				t.Errorf("%s: no key %s", path, key)
			}
		}
	}
}
