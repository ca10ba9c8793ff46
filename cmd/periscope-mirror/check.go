package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
)

func newCheckCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate rules",
		Long: `Validate a rules file, without asking AWS: whether its targets and filters exist,
reconcile --dry-run tells.`,
		Example: "  periscope-mirror check --rules mirror.yaml",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := readRules(cmd.Context(), path)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s and %s, sessions of the owner %s\n",
				path, count(len(rules.Sources), "rule"), count(len(rules.Targets), "target"), rules.Owner)
			return err
		},
	}
	rulesFlag(cmd, &path)
	return cmd
}

// rulesFlag gives a command the flag --rules.
func rulesFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "rules", "", "`FILE` of rules, or s3://BUCKET/KEY")
}

// changesFlag gives a command the flag --changes.
func changesFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "changes", "", "write what was done to `DIR`, or s3://BUCKET/PREFIX (default: nowhere)")
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
