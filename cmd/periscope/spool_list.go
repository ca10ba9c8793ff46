package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/spool"
)

func newSpoolListCommand() *cobra.Command {
	var where place
	return where.flags(&cobra.Command{
		Use:   "list",
		Short: "List what waits, by type of record and index, and what was refused",
		Long: `List the lanes of the spool, a type of record and an index each: how many events
wait to be delivered, what is on disk, and since when the oldest waits. Then the
events that Splunk refused for good, by the code of its answer.`,
		Example: "  periscope spool list --config splunk.yaml",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := where.spool()
			if err != nil {
				return err
			}
			return listSpool(dir, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	})
}

// listSpool writes what is in a spool. A lane that cannot be read whole is told
// on stderr.
func listSpool(dir string, stdout, stderr io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LANE\tEVENTS\tON DISK\tOLDEST")
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		c, err := spool.Look(filepath.Join(dir, e.Name()))
		if err != nil {
			fmt.Fprintln(stderr, "periscope:", command.OneLine(err))
		}
		oldest := "-"
		if !c.Oldest.IsZero() {
			oldest = c.Oldest.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", oneWord(e.Name()), comma(uint64(c.Pending)), humanize.IBytes(uint64(c.Bytes)), oldest)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	lines, err := quarantined(dir)
	if err != nil {
		return err
	}
	return listQuarantine(lines, stdout)
}

// oneWord keeps a name from being more than a word on one line.
func oneWord(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
}

// listQuarantine writes how many events were refused, by lane and code.
func listQuarantine(lines [][]byte, w io.Writer) error {
	if len(lines) == 0 {
		_, err := fmt.Fprintln(w, "\nNo event was refused.")
		return err
	}
	counts := make(map[string]uint64)
	for _, line := range lines {
		q, err := parseQuarantined(line)
		what := "-\tlines that cannot be read"
		if err == nil {
			what = oneWord(q.Lane) + "\t" + refusal(q.Code)
		}
		counts[what]++
	}
	what := make([]string, 0, len(counts))
	for k := range counts {
		what = append(what, k)
	}
	slices.Sort(what)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nREFUSED\tLANE\tWHY")
	for _, k := range what {
		fmt.Fprintf(tw, "%s\t%s\n", comma(counts[k]), k)
	}
	return tw.Flush()
}

// refusal says with which answer an event was refused.
func refusal(code int) string {
	switch text := hec.CodeText(code); {
	case code < 0:
		return "without a code"
	case text == "":
		return fmt.Sprintf("code %d", code)
	default:
		return fmt.Sprintf("code %d, %s", code, text)
	}
}

func newSpoolShowCommand() *cobra.Command {
	var where place
	n := 10
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print refused events",
		Long: `Print the events that Splunk refused for good, oldest first, one JSON object a line:
when, the lane, the code and text of the answer, and the event as it was sent.`,
		Example: "  periscope spool show --config splunk.yaml --n 3",
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 {
				return command.Usage(fmt.Errorf("--n %d: want 0 or more", n))
			}
			dir, err := where.spool()
			if err != nil {
				return err
			}
			lines, err := quarantined(dir)
			if err != nil {
				return err
			}
			if n > 0 && len(lines) > n {
				lines = lines[:n]
			}
			w := bufio.NewWriter(cmd.OutOrStdout())
			for _, line := range lines {
				w.Write(line)
				w.WriteByte('\n')
			}
			return w.Flush()
		},
	}
	cmd.Flags().IntVar(&n, "n", n, "how many, 0 for all")
	return where.flags(cmd)
}
