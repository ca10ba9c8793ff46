package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/sink/splunk"
)

// resendFile is the file of refused events that a resend has taken aside.
const resendFile = "quarantine.resend.jsonl"

// newSpoolCommand returns `periscope spool`.
func newSpoolCommand() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "spool",
		Short: "Look at events that wait for Splunk, and send refused ones again",
		Long: `Look at the spool of sinks.splunk: events that wait until Splunk takes them, and the
quarantine, which holds events that Splunk refused for good. A process that runs is
not disturbed.`,
	}, newSpoolListCommand(), newSpoolShowCommand(), newSpoolResendCommand())
}

// A place says where a spool is.
type place struct{ config, dir string }

// flags adds the flags that say where.
func (p *place) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&p.config, "config", "", "configuration `FILE` with sinks.splunk")
	cmd.Flags().StringVar(&p.dir, "dir", "", "`DIR` of the spool (default: that of the configuration)")
	return cmd
}

// spool returns the directory.
func (p *place) spool() (string, error) {
	dir := p.dir
	if dir == "" {
		if p.config == "" {
			return "", command.Usage(errors.New("which spool? name its directory with --dir, or the configuration with --config"))
		}
		cfg, err := loadConfig(p.config)
		if err != nil {
			return "", err
		}
		c, err := splunkOf(cfg)
		if err != nil {
			return "", err
		}
		dir = c.Spool.Dir
	}
	switch fi, err := os.Stat(dir); {
	case err != nil:
		return "", fmt.Errorf("spool: %w; it is made when periscope runs with sinks.splunk", err)
	case !fi.IsDir():
		return "", fmt.Errorf("spool: %s is not a directory", dir)
	}
	return dir, nil
}

// readQuarantine returns the lines of a file of refused events; none if it is not
// there.
func readQuarantine(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLines(f)
}

// readLines returns what is left of a file of refused events, line by line. A
// last line may have no end.
func readLines(f *os.File) (lines [][]byte, err error) {
	data, err := io.ReadAll(io.LimitReader(f, splunk.QuarantineMost+1))
	if err != nil {
		return nil, err
	}
	if len(data) > splunk.QuarantineMost {
		return nil, fmt.Errorf("%s is larger than %d MiB, which no periscope writes; look at it and remove it", f.Name(), splunk.QuarantineMost>>20)
	}
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// parseQuarantined reads a line.
func parseQuarantined(line []byte) (splunk.Quarantined, error) {
	var q splunk.Quarantined
	err := json.Unmarshal(line, &q)
	if err == nil && (len(q.Event) == 0 || q.Event[0] != '{') {
		err = errors.New("it has no event")
	}
	return q, err
}

// quarantined returns the refused events of a spool, with what a resend that was
// interrupted has taken aside.
func quarantined(dir string) ([][]byte, error) {
	aside, err := readQuarantine(filepath.Join(dir, resendFile))
	lines, more := readQuarantine(filepath.Join(dir, splunk.QuarantineName))
	if err == nil {
		err = more
	}
	return append(aside, lines...), err
}
