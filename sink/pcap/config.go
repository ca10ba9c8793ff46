package pcap

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what to keep and where. The zero value of a field means what its
// comment says.
type Config struct {
	// Dir is the directory to write below. It is made if it is not there, and
	// locked against other processes.
	Dir string

	// Group says which sessions share files.
	Group Group

	Rotate Rotate
	Retain Retain // not applied in replay

	// SnapLen cuts frames to this many bytes. 0 means MaxSnap, which is also
	// the most. Live no frame is longer than 65,536, or it is cut to that.
	SnapLen int

	// OpenFiles is how many files may be open for writing at once; 0 means
	// 256. Beside them completion takes 8 descriptors, and syncing and what has
	// the disk begin one each.
	OpenFiles int

	// Buffer is the memory for frames that are not yet written, in bytes, for
	// all workers together; 0 means 128 MiB. It is never less than newPool's
	// least: live 320 KiB a worker, in replay 640 KiB. In replay no more than
	// 8 MiB of it are used. chunkCost says what it buys.
	Buffer int64

	// Sync bounds what a power failure can take: files being written are
	// synced this often. 0 means when they are complete.
	Sync time.Duration

	// Workers is how many workers call Offer; 0 means 1.
	Workers int

	// Replay says that frames come from files: Offer waits when there is no
	// room, Order is strict, and the clock is that of the frames.
	Replay bool

	// Log gets what happens to files; nil discards it.
	Log *slog.Logger

	fdatasync func(fd int) error // nil: fdatasync(2); tests have it fail
}

// Rotate says when a file is completed and the next one begun. Zero fields do
// not count.
type Rotate struct {
	// Size is the most bytes of a file, its header included. Only a file of a
	// single record may be longer.
	Size int64

	// Every is the most time between the first and the last frame of a file.
	// Live a file is completed after this time also when no frame comes.
	Every time.Duration

	// Packets is the most records of a file.
	Packets int64
}

// Retain says when completed files are removed, the one completed first before
// the others. Zero fields do not count; the zero value keeps everything.
type Retain struct {
	// Size is the most bytes of all files together, those being written
	// included.
	Size int64

	// Age is the most time since a file was completed.
	Age time.Duration

	// Free is the fraction of the file system to keep free, from 0 to below 1.
	Free float64
}

func (c *Config) setDefaults() error {
	switch {
	case c.Dir == "":
		return errors.New("pcap: no directory given")
	case c.SnapLen < 0, c.OpenFiles < 0, c.Buffer < 0, c.Sync < 0, c.Workers < 0:
		return fmt.Errorf("pcap: %s: a negative value in the configuration", c.Dir)
	}
	if c.Group >= numGroups {
		return fmt.Errorf("pcap: %s: there is no group %d", c.Dir, c.Group)
	}
	if err := c.Rotate.check(); err != nil {
		return err
	}
	if err := c.Retain.check(); err != nil {
		return err
	}
	if c.SnapLen == 0 || c.SnapLen > MaxSnap {
		c.SnapLen = MaxSnap
	}
	if c.OpenFiles == 0 {
		c.OpenFiles = 256
	}
	if c.Buffer == 0 {
		c.Buffer = 128 << 20
	}
	if c.Replay {
		c.Buffer = min(c.Buffer, replayBuffer)
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.fdatasync == nil {
		c.fdatasync = unix.Fdatasync
	}
	return nil
}

func (r Rotate) check() error {
	if r.Size < 0 || r.Every < 0 || r.Packets < 0 {
		return errors.New("pcap: rotate: size, every and packets must not be negative")
	}
	return nil
}

func (r Retain) check() error {
	if r.Size < 0 || r.Age < 0 || !(r.Free >= 0 && r.Free < 1) {
		return errors.New("pcap: retain: size and age must not be negative, free must be from 0 to below 1")
	}
	return nil
}
