package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

func newCheckCommand() *cobra.Command {
	var path string
	var splunk bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print the effective one",
		Long: `Validate the configuration file and the files it names, of sessions, of filters
and of address ranges, and print the configuration that would be in force,
defaults filled in and secrets left out. A token file of sinks.splunk without a
token is no error, and said on standard error.

With --splunk it tries every endpoint of sinks.splunk instead, step by step: name,
connection, health, token, indexes, acknowledgement. It sends one event of source
type periscope:check to each index, and says what an answer means and what to do.
The exit status is 1 if a step failed.`,
		Example: `  periscope check --config periscope.yaml
  periscope check --splunk --config splunk.yaml`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			if err := pipeline.CheckFiles(cfg); err != nil {
				return err
			}
			if splunk {
				c, err := splunkOf(cfg)
				if err != nil {
					return err
				}
				return checkSplunk(cmd.Context(), c, cmd.OutOrStdout())
			}
			text, err := cfg.Marshal()
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return err
			}
			if cfg.Sinks.Splunk == nil {
				return nil
			}
			return checkToken(cfg.Sinks.Splunk, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `FILE` (default: built-in defaults)")
	cmd.Flags().BoolVar(&splunk, "splunk", false, "try the endpoints of sinks.splunk instead")
	return cmd
}

// checkToken reads the files of the splunk sink as a start does: one without a
// token starts too, and holds its events, so that is said and no error.
func checkToken(c *config.Splunk, stderr io.Writer) error {
	client, err := hec.New(pipeline.HECConfig(c, version))
	if err != nil {
		return fmt.Errorf("splunk: %w", err)
	}
	defer client.Close()
	if err := client.Tokens(); err != nil {
		fmt.Fprintln(stderr, "periscope: no token for splunk yet, its events will wait in the spool:", err)
	}
	return nil
}

// splunkOf returns the splunk sink of a configuration.
func splunkOf(cfg *config.Config) (*config.Splunk, error) {
	if cfg.Sinks.Splunk == nil {
		return nil, command.Usage(errors.New("sinks.splunk: not in the configuration; name a file that has it with --config"))
	}
	return cfg.Sinks.Splunk, nil
}
