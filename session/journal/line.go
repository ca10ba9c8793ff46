package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/periscope-collector/periscope/session"
)

const (
	kind    = "session journal"
	version = 1

	// maxLine bounds a line. 50 tags of 384 characters are the most of it, at
	// 77 kB (EC2, tag restrictions).
	maxLine = 256 << 10
)

// header is the first line of a journal.
var header = fmt.Appendf(nil, "%s,\"version\":%d}\n", magic, version)

const magic = `{"periscope":"` + kind + `"`

// IsJournal reports whether a file that begins with head is a journal.
func IsJournal(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// checkHeader reports what is wrong with a journal's first line.
func checkHeader(line []byte) error {
	var h struct {
		Periscope string `json:"periscope"`
		Version   int    `json:"version"`
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Periscope != kind {
		return errors.New("not a session journal; choose another file")
	}
	if h.Version != version {
		return fmt.Errorf("a journal of version %d, and this program reads %d; use the program that wrote it, or another file", h.Version, version)
	}
	return nil
}

// A line is a statement as it is written.
type line struct {
	Learnt  time.Time       `json:"learnt"`
	Session json.RawMessage `json:"session"`
}

// statementOf returns an entry's statement, with the line break, and the session's
// part of it. It can be read again.
func statementOf(e *session.Entry, now time.Time) (raw, text []byte, err error) {
	if raw, err = json.Marshal(e); err != nil {
		return nil, nil, err
	}
	if text, err = json.Marshal(line{now, raw}); err != nil {
		return nil, nil, err
	}
	text = append(text, '\n')
	if len(text) > maxLine {
		return nil, nil, errLong
	}
	_, _, err = parse(text)
	return raw, text, err
}

// parse reads a statement, and returns the session's part of the line as well.
func parse(text []byte) (e session.Entry, raw []byte, err error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return e, nil, err
	}
	if l.Session == nil {
		return e, nil, errors.New("no session")
	}
	if err := json.Unmarshal(l.Session, &e); err != nil {
		return e, nil, err
	}
	e.Learned = true
	return e, l.Session, nil
}

// A key is a hash of a tenure, short of which the strings would be most of the
// index.
type key [16]byte

func keyOf(e *session.Entry) key {
	t := e.Tenure()
	b := binary.BigEndian.AppendUint32(nil, t.VNI)
	b = append(b, t.Source[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.From))
	b = append(b, t.MAC[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.InterfaceID)))
	b = append(b, t.InterfaceID...)
	b = append(b, t.SessionID...)
	sum := sha256.Sum256(b)
	return key(sum[:])
}

var errLong = fmt.Errorf("longer than %d bytes", maxLine)

// scan calls each for every whole line, with its number, the first being 1, and
// where it begins. What is wrong with a line is errLong or nothing; the text is
// valid during the call. end is where the last whole line ends.
func scan(r io.Reader, each func(number int, at int64, text []byte, wrong error) error) (end int64, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	var at int64
	for number := 1; ; number++ {
		var wrong error
		text, err := in.ReadSlice('\n')
		at += int64(len(text))
		for errors.Is(err, bufio.ErrBufferFull) {
			wrong = errLong
			text, err = in.ReadSlice('\n')
			at += int64(len(text))
		}
		switch {
		case errors.Is(err, io.EOF):
			return end, nil
		case err != nil:
			return end, err
		}
		if err := each(number, end, text, wrong); err != nil {
			return end, err
		}
		end = at
	}
}
