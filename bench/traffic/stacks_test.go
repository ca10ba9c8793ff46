package traffic

import (
	"testing"
)

func TestStacksSatisfyTshark(t *testing.T) {
	path := writeCapture(t, 20_000, NewStacks(1).Append)
	if out := tshark(t, path, "-Y", faulty); out != "" {
		t.Errorf("tshark objects:\n%s", head(out, 20))
	}
}
