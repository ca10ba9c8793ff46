package command_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
)

// program has a command that echoes its input, one that fails, and a group.
func program() *cobra.Command {
	below := func(name string, run func(*cobra.Command, []string) error) *cobra.Command {
		return &cobra.Command{Use: name, Short: "what " + name + " does", Args: command.NoArgs, RunE: run}
	}
	return command.Root(&cobra.Command{Use: "prog", Long: "What prog is."}, "1.2",
		below("echo", func(cmd *cobra.Command, _ []string) error {
			_, err := io.Copy(cmd.OutOrStdout(), cmd.InOrStdin())
			return err
		}),
		below("fail", func(*cobra.Command, []string) error { return errors.New("one\ntwo") }),
		below("blame", func(*cobra.Command, []string) error {
			return fmt.Errorf("read: %w", command.Usage(errors.New("a bad file")))
		}),
		command.Group(&cobra.Command{Use: "group", Short: "what group does", Long: "What group is."},
			below("echo", func(*cobra.Command, []string) error { return nil })),
	)
}

// What is wrong is one line on standard error, and the exit status says who is to
// mend it.
func TestExecute(t *testing.T) {
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // stdout is how it begins
	}{
		{"echo", 0, "input", ""},
		{"version", 0, "prog 1.2\n", ""},
		{"--version", 0, "prog version 1.2\n", ""},
		{"", 0, "What prog is.\n", ""},
		{"--help", 0, "What prog is.\n", ""},
		{"group", 0, "What group is.\n", ""},
		{"group echo", 0, "", ""},
		{"fail", 1, "", "prog: one; two\n"},
		{"blame", 2, "", "prog: read: a bad file\n"},
		{"nonsense", 2, "", "prog: unknown command \"nonsense\"; prog --help lists what exists\n"},
		{"group nonsense", 2, "", "prog: unknown command \"nonsense\"; prog group --help lists what exists\n"},
		{"echo extra", 2, "", "prog: prog echo takes no arguments, got \"extra\"\n"},
		{"version extra", 2, "", "prog: prog version takes no arguments, got \"extra\"\n"},
		{"--nonsense", 2, "", "prog: unknown flag: --nonsense; prog --help lists the flags\n"},
		{"group echo -x", 2, "", "prog: unknown shorthand flag: 'x' in -x; prog group echo --help lists the flags\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := command.Execute(program(), strings.Fields(test.args), strings.NewReader("input"), &stdout, &stderr)
			if code := command.Code(err); code != test.code || command.IsUsage(err) != (code == command.ExitUsage) {
				t.Errorf("exit status %d of %v, want %d", code, err, test.code)
			}
			if got := stdout.String(); !strings.HasPrefix(got, test.stdout) || test.stdout == "" && got != "" {
				t.Errorf("standard output %q, want %q", got, test.stdout)
			}
			if stderr.String() != test.stderr {
				t.Errorf("standard error %q, want %q", &stderr, test.stderr)
			}
		})
	}
}
