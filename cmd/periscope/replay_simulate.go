package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/periscope-collector/periscope/internal/command"
)

// oneResult returns an error if a flag that prints is set and the summary goes to
// standard output too.
func oneResult(flags *pflag.FlagSet, summary string, names ...string) error {
	for _, name := range names {
		if summary == "-" && flags.Changed(name) {
			return command.Usage(fmt.Errorf("--%s and --summary - both write to standard output; write the summary to a file", name))
		}
	}
	return nil
}
