// Package command is what the command lines of the programs have in common: how a
// wrong call is answered, what an error looks like, and the exit status. It keeps
// nothing, reads no signal, and never ends the process; what a command does is the
// program's.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2 // it is for whoever called to mend: the usage, or a file that was named
)

type usageError struct{ error }

// Usage returns err as an error of whoever called.
func Usage(err error) error { return usageError{err} }

// IsUsage reports whether err is one that Usage returned, or wraps one.
func IsUsage(err error) bool {
	_, ok := errors.AsType[usageError](err)
	return ok
}

// Code returns the exit status of a program that ends with err, which may be nil.
func Code(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case IsUsage(err):
		return ExitUsage
	}
	return ExitFailure
}

// OneLine joins the lines of an error, such as several faults of one file.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// NoArgs takes no arguments.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

// Group has cmd do nothing but hold the commands below it: without one it prints its
// help. It returns cmd.
func Group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return Usage(fmt.Errorf("unknown command %q; %s --help lists what exists", args[0], cmd.CommandPath()))
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
	return cmd
}

// Root makes cmd a program of the commands below it and of version, for Execute. It
// returns cmd.
func Root(cmd *cobra.Command, version string, below ...*cobra.Command) *cobra.Command {
	Group(cmd, append(below, &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  NoArgs,
		Run:   func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), cmd.Name(), version) },
	})...)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usage(fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath()))
	})
	cmd.Version = version // without a template of its own: with one the linker keeps 45 MB of methods that nothing calls
	cmd.CompletionOptions.HiddenDefaultCmd = true
	return cmd
}

// Execute runs what args, without the program's name, say. The error that it returns
// is on stderr, in one line after the program's name.
func Execute(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), OneLine(err))
	}
	return err
}
