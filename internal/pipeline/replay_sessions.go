package pipeline

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// replayTable returns a table with the sessions of the session file, or of a
// journal in its place, whose sessions are learnt: a frame is of who held its VNI
// and source when it came.
func replayTable(cfg *config.Config, log *slog.Logger) (*session.Table, error) {
	path := cfg.Sessions.File
	isJournal, err := namesJournal(path)
	if err != nil {
		return nil, &FileError{err}
	}
	table := newTable(cfg, log)
	if !isJournal {
		entries, err := loadSessions(cfg)
		if err != nil {
			return nil, err
		}
		table.Replace(entries)
		return table, nil
	}
	entries, damaged, err := journal.Load(path)
	if err != nil {
		return nil, &FileError{err}
	}
	if damaged != 0 {
		log.Warn("damaged lines of the session journal are passed over", "file", path, "lines", damaged)
	}
	table.Learn(entries)
	return table, nil
}

// namesJournal reports whether a file is a journal, by its head. What is not a
// file is none.
func namesJournal(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // opening a pipe would wait
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("session file: %w", err)
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, fmt.Errorf("session file: %w", err)
	}
	return journal.IsJournal(head[:n]), nil
}
