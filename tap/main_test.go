package tap

import (
	"testing"

	"github.com/periscope-collector/periscope/internal/leak"
)

func TestMain(m *testing.M) { leak.Check(m) }
