package pipeline

import (
	"fmt"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/report"
)

// loadSimulation returns a simulation of a filter file, or nil if path is empty.
func loadSimulation(path string, workers int) (*report.Simulation, error) {
	if path == "" {
		return nil, nil
	}
	file, err := filter.Load(path)
	if err != nil {
		return nil, &FileError{err}
	}
	s, err := report.NewSimulation(path, file, workers)
	if err != nil {
		return nil, &FileError{fmt.Errorf("filter file %s: %w", path, err)}
	}
	return s, nil
}
