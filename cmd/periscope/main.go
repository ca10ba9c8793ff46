// Command periscope collects AWS VPC Traffic Mirroring: it takes mirrored
// packets from the network or from capture files, says whose packet each one
// is, keeps it, and accounts for what it does not keep.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/dir"
)

// version is set by the linker.
var version = "devel"

func main() { os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // bad usage or configuration, or no right to what it asks for
)

// execute runs one command and returns the exit code. Errors are one line on
// stderr.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "periscope:", oneLine(err))
	var usage usageError
	var file *pipeline.FileError
	var key *pipeline.KeyError
	var denied *pipeline.DeniedError
	var locked *dir.LockedError
	if errors.As(err, &usage) || errors.As(err, &file) || errors.As(err, &key) || errors.As(err, &denied) || errors.As(err, &locked) {
		return exitUsage
	}
	return exitFailure
}

// oneLine joins the lines of an error, such as several faults of one file.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "periscope",
		Short: "Collect AWS VPC Traffic Mirroring",
		Long: `Periscope turns a machine into a target of AWS VPC Traffic Mirroring. It takes
mirrored packets on UDP 4789 (VXLAN) and 6081 (GENEVE), says which mirror session
each one came through, writes rotating pcap files, and accounts for every packet.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; periscope --help lists what exists", args[0])}
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())}
	})
	root.AddCommand(newRunCommand(), newReplayCommand(), newSendCommand(), newCheckCommand(), newSessionsCommand(),
		newSpoolCommand(), newVersionCommand())
	root.Version = version // without a template of its own: with one the linker keeps 45 MB of methods that nothing calls
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "periscope", version) },
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// loadConfig reads a configuration file, or returns the defaults without one.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		cfg := config.Default()
		return &cfg, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}
