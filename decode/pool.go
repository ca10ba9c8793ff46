package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/periscope-collector/periscope/packet"
)

// A Source lends batches. Next waits for a short while at most and may return
// an empty batch, which only brings the clock; io.EOF ends it.
type Source interface {
	Next() (*packet.Batch, error)
	Release(*packet.Batch)
}

// A Handler is what the pool does with batches.
//
// Received and Refused are called from the goroutine that reads the source,
// Open as well when one source feeds several workers: then in the order of the
// input. Frame and Done are called from the worker's goroutine alone, Panicked
// from either.
type Handler interface {
	// Received is called once a batch, before anything else.
	Received(reader int, b *packet.Batch)

	// Open finds the frame in a datagram. It sets every field of f but the
	// header, or Reason.
	Open(d *packet.Datagram, f *packet.Frame)

	// Frame takes one frame to the end of its path, also one that Open gave a
	// Reason. Its last act is to count it.
	Frame(worker int, f *packet.Frame)

	// Panicked is told of a panic in Open or Frame, while its stack is there.
	// The frame has the reason packet.Panic and goes to Frame once more, which
	// must not do more than count it.
	Panicked(f *packet.Frame, value any)

	// Done is called once a batch, after the worker's frames in it, of which
	// there were n. Frames and their bytes are not valid after it.
	Done(worker int, b *packet.Batch, n int)

	// Refused counts the frames of b assigned to a worker whose queue was
	// full. It is not called when the pool waits.
	Refused(reader int, b *packet.Batch, worker int)
}

// A Pool runs workers over one or more sources.
//
// With as many sources as workers, each worker owns its source and runs a batch
// to completion: no queue, no hand-over. With one source and several workers,
// one reader opens the datagrams, assigns each frame to a worker by FlowHash,
// and hands every batch to every worker, so that each of them gets every mark;
// the last one to finish releases it. Either way frames of one inner flow stay
// on one worker and in order, and a panic in Open or Frame is confined to its
// frame. One in Done would leave accounts half done, and ends the process.
type Pool struct {
	Workers int
	Handler Handler

	// Wait makes the reader wait for a full queue (replay). Otherwise the
	// frames of the worker concerned are refused (live).
	Wait bool

	// Sharded says that frames are given their logical shard, Frame.Shard, and
	// the worker is the shard modulo the number of workers. A worker that reads
	// the source by itself leaves that to its handler, see Shard. There is one
	// source then. A shard is that of FlowHash modulo packet.Shards, or for a
	// fragment that of its flow, which its first fragment tells.
	Sharded bool

	sharder *sharder
}

// queueLen bounds the batches waiting for one worker. The source bounds what
// they hold: it lends only so many.
const queueLen = 4

// Run reads the sources until they end, ctx is done, or one of them fails, and
// returns after all its goroutines. A batch that was read is always finished.
func (p *Pool) Run(ctx context.Context, sources ...Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.Sharded {
		if len(sources) != 1 {
			return fmt.Errorf("decode: %d sources with shards: want one", len(sources))
		}
		p.sharder = new(sharder)
	}
	if len(sources) == 1 && p.Workers > 1 {
		return p.shared(ctx, sources[0])
	}
	if len(sources) != p.Workers {
		return fmt.Errorf("decode: %d sources for %d workers: want one, or one each", len(sources), p.Workers)
	}
	errs := make([]error, len(sources))
	var wg sync.WaitGroup
	for worker, source := range sources {
		wg.Go(func() {
			if errs[worker] = p.pinned(ctx, worker, source); errs[worker] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pinned runs one worker on its own source.
func (p *Pool) pinned(ctx context.Context, worker int, source Source) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		b, err := source.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		p.Handler.Received(worker, b)
		for i := 0; i < len(b.Frames); {
			i = p.openAndFinish(worker, b, i)
		}
		p.Handler.Done(worker, b, len(b.Frames))
		source.Release(b)
	}
	return nil
}

// Shard gives a decoded frame its shard, where there is one worker: cheaper than
// from a frame that is not decoded. It is called in the order of the input.
func (p *Pool) Shard(f *packet.Frame) { f.Shard = p.sharder.ofDecoded(f) }

// openAndFinish takes the frames from index i on to their end, and returns the
// index to go on with: past the last, or past one that panicked.
func (p *Pool) openAndFinish(worker int, b *packet.Batch, i int) (next int) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(b, i, v)
			p.Handler.Frame(worker, &b.Frames[i])
			next = i + 1
		}
	}()
	for ; i < len(b.Frames); i++ {
		f := &b.Frames[i]
		p.Handler.Open(&b.Datagrams[i], f)
		p.Handler.Frame(worker, f)
	}
	return i
}

// panicked leaves of frame i what is needed to count it.
func (p *Pool) panicked(b *packet.Batch, i int, value any) {
	d, f := &b.Datagrams[i], &b.Frames[i]
	*f = packet.Frame{Time: d.Time, Order: d.Order, Length: d.Length, Session: f.Session, Reason: packet.Panic}
	p.Handler.Panicked(f, value)
}

// shared reads one source for all workers.
func (p *Pool) shared(ctx context.Context, source Source) error {
	queues := make([]chan *packet.Batch, p.Workers)
	var wg sync.WaitGroup
	for worker := range queues {
		queues[worker] = make(chan *packet.Batch, queueLen)
		wg.Go(func() {
			for b := range queues[worker] {
				p.share(worker, b)
				p.finished(source, b)
			}
		})
	}
	err := p.read(ctx, source, queues)
	for _, queue := range queues {
		close(queue)
	}
	wg.Wait()
	return err
}

func (p *Pool) read(ctx context.Context, source Source, queues []chan *packet.Batch) error {
	for ctx.Err() == nil {
		b, err := source.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		p.Handler.Received(0, b)
		for i := 0; i < len(b.Frames); {
			i = p.openAndAssign(b, i)
		}
		b.Workers.Store(int32(len(queues)))
		for worker, queue := range queues {
			if p.Wait {
				queue <- b
				continue
			}
			select {
			case queue <- b:
			default:
				p.Handler.Refused(0, b, worker)
				p.finished(source, b)
			}
		}
	}
	return nil
}

// openAndAssign opens the datagrams from index i on and assigns their frames. It
// returns the index to go on with.
func (p *Pool) openAndAssign(b *packet.Batch, i int) (next int) {
	defer func() {
		if v := recover(); v != nil {
			b.Frames[i].Session = nil // of the batch before
			p.panicked(b, i, v)
			b.Assigned[i] = 0
			next = i + 1
		}
	}()
	for ; i < len(b.Frames); i++ {
		f := &b.Frames[i]
		p.Handler.Open(&b.Datagrams[i], f)
		b.Assigned[i] = 0
		switch {
		case f.Reason != packet.None:
		case p.Sharded:
			f.Shard = p.sharder.shard(f.Data)
			b.Assigned[i] = uint8(int(f.Shard) % p.Workers)
		default:
			b.Assigned[i] = uint8(FlowHash(f.Data) % uint32(p.Workers))
		}
	}
	return i
}

// share takes the frames of b that are the worker's to their end.
func (p *Pool) share(worker int, b *packet.Batch) {
	n := 0
	for i := 0; i < len(b.Frames); {
		i = p.finish(worker, b, i, &n)
	}
	p.Handler.Done(worker, b, n)
}

func (p *Pool) finish(worker int, b *packet.Batch, i int, n *int) (next int) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(b, i, v)
			p.Handler.Frame(worker, &b.Frames[i])
			next = i + 1
		}
	}()
	for ; i < len(b.Frames); i++ {
		if int(b.Assigned[i]) != worker {
			continue
		}
		*n++
		p.Handler.Frame(worker, &b.Frames[i])
	}
	return i
}

// finished releases b when every worker is done with it.
func (p *Pool) finished(source Source, b *packet.Batch) {
	if b.Workers.Add(-1) == 0 {
		source.Release(b)
	}
}
