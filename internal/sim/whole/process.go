package whole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/backfill"
	"github.com/s3db-go/replicator/internal/capture"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/ledger"
)

// timeout bounds an attempt.
const timeout = 30 * time.Second

// process is one life of the process: the parts of the house put together as the root
// does it, with the application.
type process struct {
	w     *world
	life  int
	end   end
	begun time.Time

	disk     *disc
	journal  *journal.Disk
	book     *book
	stations []*station
	source   *source
	recorder *capture.Recorder
	release  func()
	running  sync.WaitGroup // the application, and who pauses and backfills
	meddled  chan struct{}  // closed when all pauses and backfills that were planned have been
	busy     chan struct{}  // holds one value while somebody does what is done when all else has been
	quit     chan struct{}  // closed when it is to end
	dead     chan struct{}  // closed when it is dead

	// The world's mutex guards what follows.
	isDead    bool
	unflushed bool // a flush failed, after which nothing more is written
	by        how  // it died
	stopping  bool
	onTheWay  []request // writes, to the store
}

// boot starts a process from what the last one left, nil if it can't be.
func (w *world) boot() *process {
	w.lives++
	p := &process{
		w: w, life: w.lives, begun: time.Now(), end: w.endOf(w.lives),
		meddled: make(chan struct{}), busy: make(chan struct{}, 1), quit: make(chan struct{}), dead: make(chan struct{}),
	}
	p.disk = &disc{FS: w.disk, p: p}
	p.source = &source{p: p}
	p.trouble()
	w.alterAsleep(w.dice(fmt.Sprint("asleep ", p.life)))
	w.say("start %d, %v", p.life, p.end)
	err := p.open()
	if err == nil {
		return p
	}
	w.say("start fails: %v", err)
	if !p.died() && !w.troubled(err) && !errors.Is(err, context.DeadlineExceeded) {
		w.accuse("start fails: %v", err)
	}
	p.takeDown()
	time.Sleep(time.Second)
	return nil
}

// open brings everything up, each part on those before it.
func (p *process) open() (err error) {
	w := p.w
	p.journal, err = journal.Open(p.disk, w.journalOptions())
	if err != nil {
		return err
	}
	w.forget(p.journal.Last())
	l, err := ledger.Open(filepath.Join(w.folder, "log.db"))
	if err != nil {
		return err
	}
	p.book = &book{Ledger: l, p: p}
	unfinished, err := backfill.Unfinished(p.disk)
	if err != nil {
		return err
	}
	for _, pl := range w.places {
		if pl.Late && p.life == 1 && p.end.how != lasting {
			continue
		}
		st := newStation(p, pl)
		pl.joined = true
		p.stations = append(p.stations, st)
		if err := st.fill(unfinished); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(p.stations, (*station).isNew) {
		if err := capture.ForgetSchemas(p.disk); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, st := range p.stations {
		if err := st.start(ctx); err != nil {
			return err
		}
	}
	p.recorder = capture.New(capture.Options{
		Journal: noting{p.journal, w}, Source: p.source, Resources: w.described, FS: p.disk, Wants: p.wants, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err := p.recorder.Recover(ctx); err != nil {
		return err
	}
	if p.release, err = p.source.Capture(p.recorder); err != nil {
		return err
	}
	for _, st := range p.stations {
		st.runner.Start()
	}
	for i := range w.Writers {
		p.running.Go(func() { p.work(fmt.Sprint("writer ", i)) })
	}
	p.running.Go(p.beats)
	p.running.Go(p.meddle)
	return nil
}

// wants: the routes want everything.
func (p *process) wants(string, cdc.Op) bool { return true }

// live lets the process live until it ends in one way or another.
func (p *process) live() {
	const look = 500 * time.Millisecond
	w := p.w
	for {
		select {
		case <-p.dead:
			p.takeDown()
			return
		case <-time.After(look):
		}
		p.check()
		switch healthy := time.Now().After(w.healthy); {
		case !w.running():
			p.die("the world has ended", killed)
		case healthy && p.finished():
			p.busy <- struct{}{} // nothing more begins, and nothing is half done
			if p.finished() {
				p.stop()
				w.finish()
				return
			}
			<-p.busy
		case time.Since(w.healthy) > patience:
			w.accuse("%v after the faults ended not all is settled: %s", patience, p.waiting())
		case p.journal.Stats().Err != nil:
			w.say("the journal can't be written: %v", p.journal.Stats().Err)
			w.hurt = true
			p.stop()
			return
		case !healthy && time.Since(p.begun) > p.end.after && p.end.how == stopped:
			p.stop()
			return
		case !healthy && time.Since(p.begun) > p.end.after && p.end.atOp == 0 && p.end.how != lasting:
			p.die(p.end.how.String(), p.end.how)
		}
	}
}

// finished reports whether everything is written and settled.
func (p *process) finished() bool {
	w := p.w
	select {
	case <-p.meddled:
	default:
		return false
	}
	w.mu.Lock()
	left := w.left + w.writing
	w.mu.Unlock()
	if left > 0 || p.recorder.InDoubt() > 0 || p.journal.Stats().Open > 0 {
		return false
	}
	for _, st := range p.stations {
		e := st.present()
		if e == nil || e.Stats().Waiting > 0 || w.Mended && st.place.failing() {
			return false
		}
	}
	unfinished, err := backfill.Unfinished(p.disk)
	return err == nil && len(unfinished) == 0
}

// waiting tells what is not settled.
func (p *process) waiting() string {
	parts := []string{fmt.Sprintf("%d writes to be made, %d in doubt, %d open", p.w.left, p.recorder.InDoubt(), p.journal.Stats().Open)}
	for _, st := range p.stations {
		if e := st.present(); e != nil {
			parts = append(parts, fmt.Sprintf("%s: %d wait, %+v", st.place.Name, e.Stats().Waiting, e.Stats()))
		}
	}
	return strings.Join(parts, "; ")
}

// stop takes the process down in the order in which the root does it: the source is
// captured until nothing delivers any more.
func (p *process) stop() {
	p.w.say("stop")
	p.w.mu.Lock()
	p.stopping = true
	p.w.mu.Unlock()
	if err := p.takeDown(); err != nil && !p.died() {
		p.w.say("stop: %v", err)
	}
}

// takeDown ends whatever came up.
func (p *process) takeDown() error {
	var errs []error
	close(p.quit)
	for _, st := range p.stations {
		if st.runner != nil {
			st.runner.Stop()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if p.died() {
		cancel()
	}
	var engines sync.WaitGroup
	for _, st := range p.stations {
		engines.Go(func() { st.stop(ctx) })
	}
	engines.Wait()
	if p.recorder != nil {
		p.recorder.Stop()
	}
	p.running.Wait()
	if p.release != nil {
		p.release()
	}
	if p.journal != nil {
		p.w.missed(p.journal.Stats().Unjournaled)
		errs = append(errs, p.journal.Close())
	}
	for _, st := range p.stations {
		st.hub.end()
	}
	if p.book != nil {
		errs = append(errs, p.book.Close())
	}
	for _, st := range p.stations {
		st.await() // what a stop left behind
	}
	p.inherit()
	return errors.Join(errs...)
}

// die ends the process between two operations: nothing that it does from now on has an
// effect.
func (p *process) die(why string, by how) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.isDead {
		return
	}
	p.isDead, p.by = true, by
	p.expose(by == powerLost)
	p.disk.CrashAt(1)
	close(p.dead)
	w.log("dies: %s", why)
	r := w.dice(fmt.Sprint("death ", p.life))
	for _, pl := range w.places {
		for _, c := range pl.calls {
			// What was sent may still be carried out.
			if !c.landed && c.p == p && r.Float64() < 0.5 {
				pl.landed(c, r)
			}
		}
		pl.calls = nil
	}
	for _, q := range p.onTheWay {
		switch {
		case !q.applied:
		case w.Remote:
			w.late(q.write, q.late)
		default:
			w.apply(q.write)
		}
	}
}

func (p *process) died() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.isDead
}

// inherit gives the disk to the next process.
func (p *process) inherit() {
	w := p.w
	if p.by != powerLost {
		p.disk.FS = p.disk.Kill() // its locks are gone, and nothing else
	} else {
		p.disk.FS = p.disk.Crash(w.dice(fmt.Sprint("crash ", p.life)).Uint64() % 50)
	}
	w.disk = p.disk.FS
	w.checkHidden()
}

// pause waits for d, unless ctx ends or the process dies.
func (p *process) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-p.dead:
		return errDead
	}
	return context.Cause(ctx)
}

// rest waits for d, unless the process ends.
func (p *process) rest(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.quit:
		return cdc.ErrStopped
	case <-p.dead:
		return errDead
	}
}
