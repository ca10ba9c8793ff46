package tap

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/ecsmeta"
	"github.com/periscope-collector/periscope/session/announce"
)

// docs/sidecar.md has every reason, what each count is, and the figures.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, name := range reasonNames {
		if n := strings.Count(page, "\n| dropped: `"+name+"` | "); n != 1 {
			t.Errorf("%d rows of the reason %s", n, name)
		}
	}
	for _, word := range []string{"mirrored", "filtered", "cut", "truncated"} {
		if !strings.Contains(page, "\n| `"+word+"` | ") {
			t.Errorf("no row of %s", word)
		}
	}
	var s Stats
	_, err = fmt.Sscanf(page[strings.Index(page, "\nmirrored ")+1:], "mirrored %d frames, %d bytes; filtered %d, cut %d, truncated %d; dropped none\n",
		&s.Mirrored, &s.Bytes, &s.Filtered, &s.Cut, &s.Truncated)
	if err != nil || !strings.Contains(page, "\n"+s.String()+"\n") {
		t.Errorf("it does not show %q: %v", s, err)
	}
	for _, figure := range []string{
		fmt.Sprintf("the ring of %d MiB", ringLen>>20),
		fmt.Sprintf("up to %d ms late", (2 * blockWait).Milliseconds()),
		fmt.Sprintf("and %d KiB |", blockLen>>10),
		fmt.Sprintf("more than %d KiB waited", longQueue>>10),
		fmt.Sprintf("none for %.0f s", calm.Seconds()),
		fmt.Sprintf("every %.0f s and at the end", announce.Every.Seconds()),
		fmt.Sprintf("in %.1f s", maxBurst.Seconds()),
		fmt.Sprintf("refused for %.0f s", reached.Seconds()),
		fmt.Sprintf("has answered, %.0f s at most", ecsmeta.Longest.Seconds()),
	} {
		if !strings.Contains(strings.ReplaceAll(page, "\n", " "), figure) {
			t.Errorf("it does not say %q", figure)
		}
	}
}
