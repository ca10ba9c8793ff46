//go:build soak

package flow

import "testing"

// TestSoakManyFlows sends 10,000,000 flows through a table of 1,000,000.
func TestSoakManyFlows(t *testing.T) { manyFlows(t, 1_000_000) }
