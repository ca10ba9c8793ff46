package tap

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/internal/tpacket"
)

const (
	// ringLen is 32 blocks: a block holds the longest frame, of 64 KiB, and comes
	// every 8 ms at 200 Mbit/s. The ring rides out 0.25 s of that.
	ringLen  = 8 << 20
	blockLen = 256 << 10

	// blockWait is when a block comes that is not full; the kernel's timer may
	// take two looks.
	blockWait = 10 * time.Millisecond

	lookWait   = 100 * time.Millisecond
	reportWait = time.Minute
)

// errGone means that the interface was there, and is not.
var errGone = errors.New("the interface is gone: start again when it is back")

func (t *Tap) run(ctx context.Context) error {
	take, err := exclusions(t.cfg.To)
	if err != nil {
		return err
	}
	now := time.Now()
	t.pause.share.look(t.pause.used(), now)
	t.pause.health.look()
	t.announce(false)
	if err := t.ring.SetFilter(take); err != nil {
		return err
	}
	t.cfg.Log.Info("mirroring", "interface", t.cfg.Interface, "to", t.cfg.To, "vni", t.cfg.VNI, "frame_bytes", t.out.fits)
	look, announce, report := now.Add(lookWait), now.Add(t.cfg.AnnounceEvery), now.Add(reportWait)
	for ctx.Err() == nil {
		now = time.Now()
		if !now.Before(look) {
			if err := t.look(now, take); err != nil {
				return err
			}
			look = now.Add(lookWait)
			if t.pause.on && t.pause.until.Before(look) {
				look = t.pause.until
			}
		}
		if !now.Before(announce) {
			announce = now.Add(t.cfg.AnnounceEvery)
			t.announce(false)
		}
		if !now.Before(report) {
			report = now.Add(reportWait)
			t.cfg.Log.Info("mirrored so far", "counts", t.now.stats())
		}
		if t.ring.Take() {
			t.block(now)
		} else if err := t.wait(look); err != nil {
			return err
		}
	}
	return t.end()
}

// block sends what is in the block at hand, and gives it back.
func (t *Tap) block(now time.Time) {
	if t.pause.on {
		t.now.dropped[dropPaused] += uint64(t.ring.Left())
		t.ring.GiveBack()
		return
	}
	var p tpacket.Packet
	for t.ring.Left() > 0 {
		t.ring.Next(&p)
		t.mirror(&p, now)
	}
	t.out.flush(&t.now)
	t.ring.GiveBack()
}

// A waiter waits for the ring by the runtime's poller: a thread in poll(2) would
// keep the runtime's monitor awake, at 1 % of a core.
type waiter struct {
	file  *os.File // the ring's socket, once more
	raw   syscall.RawConn
	until time.Time
	ready func(uintptr) bool
}

func newWaiter(r *tpacket.Ring) (*waiter, error) {
	fd, err := unix.FcntlInt(uintptr(r.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	w := &waiter{file: os.NewFile(uintptr(fd), "packet ring"), ready: func(uintptr) bool { return r.Take() }}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	return w, nil
}

// wait returns when there is a block, or at the time.
func (t *Tap) wait(until time.Time) error {
	w := t.waiter
	if w.until != until {
		w.until = until
		if err := w.file.SetReadDeadline(until); err != nil {
			return err
		}
	}
	err := w.raw.Read(w.ready)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	time.Sleep(blockWait) // the poller says so until there is another event; look finds out why
	return nil
}

// look reads the counters of the ring, makes sure that there still is an
// interface, and begins and ends pauses.
func (t *Tap) look(now time.Time, take []bpf.Instruction) error {
	lost, err := t.ring.Drops()
	if err != nil {
		return err
	}
	t.now.dropped[dropRing] += lost
	gone, err := t.ring.Gone()
	if err != nil {
		return err
	}
	if gone {
		return errGone
	}
	down, err := t.ring.Down()
	if err != nil {
		return err
	}
	if down {
		t.cfg.Log.Warn("interface is down: nothing is mirrored until it is up", "interface", t.cfg.Interface)
	}
	_ = t.out.measure() // without a route it stays what it was
	t.tellReach(now)
	defer t.publish()
	return t.rest(now, take)
}

// end sends what the ring holds, and the last announcement. What comes meanwhile
// is not mirrored.
func (t *Tap) end() error {
	if err := t.ring.SetFilter(cbpf.RefuseAll); err != nil {
		return err
	}
	if p := &t.pause; p.on {
		p.health.look()
		t.now.dropped[dropPaused] += p.health.device.moved - p.moved
	}
	for quiet := time.Now().Add(3 * blockWait); ; {
		if t.ring.Take() {
			t.block(time.Now())
			continue
		}
		if !time.Now().Before(quiet) { // no block can come any more
			break
		}
		if err := t.wait(quiet); err != nil {
			return err
		}
	}
	t.announce(true)
	lost, err := t.ring.Drops()
	t.now.dropped[dropRing] += lost
	return err
}

// announce says whose the frames are.
func (t *Tap) announce(last bool) {
	if t.cfg.Announce == nil {
		return
	}
	frame := t.cfg.Announce(last)
	if len(frame) == 0 {
		return
	}
	var sent counts
	room := make([]byte, tpacket.OffloadLen, tpacket.OffloadLen+len(frame))
	t.out.addFrame(append(room, frame...), &sent)
	t.out.flush(&sent)
	t.now.announced += sent.mirrored
	for i, n := range sent.dropped {
		t.now.dropped[i] += n
	}
}
