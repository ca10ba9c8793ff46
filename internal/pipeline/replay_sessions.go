package pipeline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// replayTable returns a table with the sessions of the session file, or of a
// journal in its place, and, where AWS is asked, of the configuration's journal
// beside it. A frame is of who held its VNI and source when it came; one without a
// source, of whose interface it is.
func replayTable(cfg *config.Config, what *ReplayConfig, log *slog.Logger) (*session.Table, error) {
	isJournal, err := namesJournal(cfg.Sessions.File)
	if err != nil {
		return nil, &FileError{err}
	}
	c := tableConfig(cfg, log)
	c.Bare = what.BareVNI >= 0
	table := session.New(c)
	if isJournal {
		return table, learnJournal(table, cfg.Sessions.File, log)
	}
	entries, err := loadSessions(cfg)
	if err != nil {
		return nil, err
	}
	table.Replace(entries)
	if cfg.AWS == nil || what.NoJournal {
		return table, nil
	}
	err = learnJournal(table, cfg.AWS.Journal, log)
	if errors.Is(err, fs.ErrNotExist) { // as is a journal that is not wanted
		log.Warn("there is no session journal, so whom AWS knew behind a session is not known; name a journal with --sessions FILE",
			"file", cfg.AWS.Journal)
		return table, nil
	}
	return table, err
}

// learnJournal has the table learn what a journal says. A collector may be writing
// it.
func learnJournal(table *session.Table, path string, log *slog.Logger) error {
	entries, damaged, err := journal.Load(path)
	if err != nil {
		return &FileError{err}
	}
	if damaged != 0 {
		log.Warn("damaged lines of the session journal are passed over", "file", path, "lines", damaged)
	}
	log.Info("the sessions of a journal are known", "file", path, "entries", len(entries))
	table.Learn(entries)
	return nil
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
