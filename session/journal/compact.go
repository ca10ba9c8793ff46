package journal

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/periscope-collector/periscope/sink/dir"
)

// newSuffix is behind the name of a journal that is being written anew.
const newSuffix = ".new"

// compact writes the journal anew, with what is kept. If it fails the journal is as
// it was.
func (j *Journal) compact() error {
	keys, open := j.kept()
	path := j.path + newSuffix
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	tenures, size, err := j.copyTo(f, keys)
	if err == nil {
		err = f.Chmod(0o640)
	}
	if err == nil {
		err = j.sync(f)
	}
	if err == nil {
		err = flock(f) // before anyone can open it under the journal's name
	}
	if err == nil {
		err = os.Rename(path, j.path)
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return err
	}
	j.log.Info("session journal compacted", "file", j.path, "before", j.size, "bytes", size,
		"tenures", len(tenures), "dropped", len(j.tenures)-len(tenures))
	if open > j.limit {
		j.log.Warn("the tenures that did not end are more than the session journal's size; raise aws.journal_size",
			"file", j.path, "size", j.limit, "bytes", open)
	}
	j.file.Close()
	j.file, j.tenures, j.size, j.broken = f, tenures, size, false
	j.full = max(j.limit, size+j.limit/4)
	return dir.Sync(filepath.Dir(j.path))
}

// kept returns the tenures that are kept, in the order of their lines, and the
// bytes of those that did not end.
func (j *Journal) kept() (keys []key, open int64) {
	var ended []key
	room := j.limit/4*3 - int64(len(header))
	for k, s := range j.tenures {
		room -= int64(s.length)
		if s.until != 0 {
			ended = append(ended, k)
			continue
		}
		keys = append(keys, k)
		open += int64(s.length)
	}
	slices.SortFunc(ended, func(a, b key) int {
		s, t := j.tenures[a], j.tenures[b]
		return cmp.Or(cmp.Compare(s.until, t.until), cmp.Compare(s.at, t.at))
	})
	for ; room < 0 && len(ended) > 0; ended = ended[1:] {
		room += int64(j.tenures[ended[0]].length)
	}
	keys = append(keys, ended...)
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(j.tenures[a].at, j.tenures[b].at) })
	return keys, open
}

// copyTo writes a journal of the tenures with the keys.
func (j *Journal) copyTo(f *os.File, keys []key) (tenures map[key]statement, size int64, err error) {
	out := bufio.NewWriterSize(f, maxWrite)
	out.Write(header) // what fails is told by Flush
	size = int64(len(header))
	tenures = make(map[key]statement, len(keys))
	for _, k := range keys {
		s := j.tenures[k]
		if _, err := io.Copy(out, io.NewSectionReader(j.file, s.at, int64(s.length))); err != nil {
			return nil, 0, err
		}
		s.at, size = size, size+int64(s.length)
		tenures[k] = s
	}
	return tenures, size, out.Flush()
}
