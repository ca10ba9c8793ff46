// Command periscope-mirror keeps AWS mirror sessions in step with ECS tasks and EC2
// instances: it looks at what is, and makes, changes and deletes sessions until that
// is what its rules want. It does so once, or as a daemon, or as an AWS Lambda
// function when AWS_LAMBDA_RUNTIME_API says that it is one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" && len(os.Args) == 1 {
		serveLambda(os.Stdout, os.Stderr)
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // bad usage or rules
)

// A usageError is an error of whoever called: exit status 2.
type usageError struct{ error }

// execute runs one command and returns the exit code. Errors are one line on
// stderr.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "periscope-mirror:", oneLine(err))
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// oneLine joins the lines of an error, such as several faults of one file.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "periscope-mirror",
		Short: "Keep mirror sessions in step with tasks",
		Long: `Periscope-mirror keeps AWS mirror sessions in step with what its rules want: it
looks at ECS tasks, EC2 instances and their interfaces, and makes, changes and
deletes mirror sessions. It touches no session that it has not made itself.

It asks AWS with the credentials and in the region of the environment, as the AWS
command line does. As an AWS Lambda function it takes no arguments: see
docs/mirror.md.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; periscope-mirror --help lists what exists", args[0])}
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())}
	})
	root.AddCommand(newReconcileCommand(), newRunCommand(), newCheckCommand(), newVersionCommand())
	root.Version = version // without a template of its own, which keeps every method of the AWS SDK in the program
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "periscope-mirror", version) },
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}
