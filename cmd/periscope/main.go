// Command periscope collects AWS VPC Traffic Mirroring: it takes mirrored
// packets from the network or from capture files, says whose packet each one
// is, keeps it, and accounts for what it does not keep.
package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/dir"
)

// version is set by the linker.
var version = "devel"

func main() { os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// execute runs one command and returns the exit status: it is bad usage too where the
// configuration is at fault, or there is no right to what it asks for.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := command.Execute(newRootCommand(), args, stdin, stdout, stderr)
	var file *pipeline.FileError
	var key *pipeline.KeyError
	var denied *pipeline.DeniedError
	var locked *dir.LockedError
	if errors.As(err, &file) || errors.As(err, &key) || errors.As(err, &denied) || errors.As(err, &locked) {
		return command.ExitUsage
	}
	return command.Code(err)
}

func newRootCommand() *cobra.Command {
	return command.Root(&cobra.Command{
		Use:   "periscope",
		Short: "Collect AWS VPC Traffic Mirroring",
		Long: `Periscope turns a machine into a target of AWS VPC Traffic Mirroring. It takes
mirrored packets on UDP 4789 (VXLAN) and 6081 (GENEVE), says which mirror session
each one came through, writes rotating pcap files, and accounts for every packet.`,
	}, version, newRunCommand(), newReplayCommand(), newSendCommand(), newCheckCommand(), newSessionsCommand(), newSpoolCommand())
}

// loadConfig reads a configuration file, or returns the defaults without one.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		cfg := config.Default()
		return &cfg, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, command.Usage(err)
	}
	return cfg, nil
}
