package pcap

import "golang.org/x/sys/unix"

const (
	// writebackEvery is how many bytes of a file the kernel is given before the
	// disk is asked to write them. Left to itself the kernel waits for seconds,
	// and completing the file then waits for all of it.
	writebackEvery = 8 << 20

	// writebackAlign keeps the end of the file out of it: what is being written
	// to the disk may not be appended to on some disks.
	writebackAlign = 1 << 20
)

// A writeback is a part of a file that the disk may begin to write.
type writeback struct {
	path    string
	from, n int64 // bytes
}

// startWriteback hands on what is new in the file if that is enough. If the disk
// is still busy with others, the file is asked for at a later write.
func (w *writer) startWriteback(f *file) {
	end := f.written &^ (writebackAlign - 1)
	if end-f.begun < writebackEvery {
		return
	}
	select {
	case w.writeback <- writeback{f.path, f.begun, end - f.begun}:
		f.begun = end
	default:
	}
}

// writeBack has the disk begin with what it is given, until jobs is closed. It
// has its own goroutine, since the disk may be busy. It does not wait for the
// disk, and what fails is for completion to find: the kernel keeps the error.
// Once closing is closed it passes everything over: completion is about to sync
// all of it.
func writeBack(jobs <-chan writeback, closing <-chan struct{}) {
	for j := range jobs {
		select {
		case <-closing:
			continue
		default:
		}
		fd, err := openFile(j.path, unix.O_RDONLY)
		if err != nil {
			continue // complete, or removed
		}
		unix.SyncFileRange(fd, j.from, j.n, unix.SYNC_FILE_RANGE_WRITE)
		unix.Close(fd)
	}
}
