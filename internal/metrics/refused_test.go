package metrics

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/discovery"
)

// Whatever codes there are, there are at most 50 series and that of the others.
func TestRefusedBy(t *testing.T) {
	var list []discovery.Refusal
	for i := range 60 {
		for range 1 + i/30 {
			list = append(list, discovery.Refusal{Code: fmt.Sprintf("Code%02d", i)})
		}
	}
	got := refusedBy(list)
	if got["Code59"] != 2 || got["Code19"] != 1 || got["Code20"] != 0 || got["other"] != 10 || len(got) != maxCodes+1 {
		t.Errorf("%v", got)
	}
	got = refusedBy([]discovery.Refusal{
		{}, {Code: "other"}, {Code: "Client.Invalid-Parameter"}, {Code: "a b\n\xff\"}"}, {Code: "ä"}, {Code: strings.Repeat("x", 100)},
	})
	want := map[string]int{"none": 1, "other": 1, "Client.Invalid-Parameter": 1, "a_b____": 1, "_": 1, strings.Repeat("x", 64): 1}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := refusedBy(nil); len(got) != 1 || got["other"] != 0 {
		t.Errorf("of none: %v", got)
	}
}
