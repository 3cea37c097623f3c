package whole

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/disk/faultfs"
)

// resources are those of the store.
var resources = [...]string{"a", "b"}

// beat is a record of each resource that nothing keeps back. It is written when all
// else has been: whether a record that fails is itself to blame shows only when
// something else is accepted.
const beat = "beat"

// work is one of the application's goroutines: it writes until everything is written.
func (p *process) work(name string) {
	w := p.w
	for {
		r := w.draw(name)
		think := time.Duration(r.Int64N(int64(w.Spread)*2*int64(w.Writers)/int64(w.Writes) + 1))
		if p.rest(think) != nil || !w.next() {
			return
		}
		keys := []cdc.Key{{Resource: resources[r.IntN(len(resources))], RecordID: w.ids[1+r.IntN(w.Records)]}}
		for i := 1; i < len(w.ids) && r.Float64() < 0.15; i++ { // many in one announcement
			key := cdc.Key{Resource: keys[0].Resource, RecordID: w.ids[i]}
			if key != keys[0] {
				keys = append(keys, key)
			}
		}
		p.judge(p.source.change(func(key cdc.Key, before cdc.Record) *write {
			return w.make(key, before, r.Float64() < 0.2, r.Float64() < 0.5)
		}, keys...))
		w.wrote()
	}
}

// next takes one of the writes that are to be made.
func (w *world) next() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 {
		return false
	}
	w.left--
	w.writing++
	return true
}

func (w *world) wrote() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing--
}

// make makes a write. The caller holds the world's mutex.
func (w *world) make(key cdc.Key, before cdc.Record, remove, extra bool) *write {
	w.made++
	wr := &write{n: w.made}
	c := &wr.Change
	c.Resource, c.RecordID, c.Op, c.Before, c.Time = key.Resource, key.RecordID, cdc.Updated, before, time.Now().UTC()
	binary.BigEndian.PutUint64(c.ChangeID[8:], uint64(wr.n))
	switch {
	case before == nil:
		c.Op = cdc.Inserted
	case remove:
		c.Op, c.Data, c.Before = cdc.Deleted, before, nil
	}
	if c.Op != cdc.Deleted {
		c.Data = cdc.Record{"id": key.RecordID, "n": int64(wr.n)}
		w.settle(c)
		if extra {
			c.Data["extra"] = int64(wr.n)
		}
	}
	w.follow(c)
	w.writes = append(w.writes, wr)
	w.log("write %v", wr)
	return wr
}

// The fields of a record that tell its key and its lane where routes say so. They change
// now and then, and may come back; no two records have one key.
const (
	keyField   = "key"
	groupField = "group"
)

// settle gives the record of a change its place. The caller holds the world's mutex.
func (w *world) settle(c *cdc.Change) {
	r := w.dice(fmt.Sprint("moves ", w.made))
	key, group := any(c.RecordID+"/0"), any(int64(len(c.RecordID)))
	if c.Before != nil {
		key, group = c.Before[keyField], c.Before[groupField]
	}
	if r.Float64() < 0.2 && c.RecordID != beat {
		key = fmt.Sprint(c.RecordID, "/", r.IntN(3))
	}
	if r.Float64() < 0.2 && c.RecordID != beat {
		group = r.Int64N(3)
	}
	c.Data[keyField], c.Data[groupField] = key, group
}

// judge says whether a write may fail so.
func (p *process) judge(err error) {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil, p.isDead, p.stopping && errors.Is(err, cdc.ErrStopped), w.troubled(err):
	default:
		w.violation("a write fails: %v", err)
	}
}

// troubled reports whether an error is of the kind that this world makes.
func (w *world) troubled(err error) bool {
	return errors.Is(err, faultfs.ErrInjected) || errors.Is(err, errStore) || errors.Is(err, errLog) ||
		errors.Is(err, cdc.ErrJournalFull) || disk.IsFull(err)
}

// beats writes what nothing keeps back, until all is settled, and retries what failed if
// nothing fails any more.
func (p *process) beats() {
	for p.rest(10*time.Second) == nil {
		select {
		case p.busy <- struct{}{}:
		default:
			return // the world ends
		}
		if !p.finished() && p.written() {
			p.beat()
		}
		<-p.busy
	}
}

// written reports whether everything is written and the faults have ended.
func (p *process) written() bool {
	w := p.w
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left == 0 && time.Now().After(w.healthy)
}

func (p *process) beat() {
	w := p.w
	for _, resource := range resources {
		p.judge(p.source.change(func(key cdc.Key, before cdc.Record) *write {
			return w.make(key, before, false, false)
		}, cdc.Key{Resource: resource, RecordID: beat}))
	}
	for _, st := range p.stations {
		if w.mended() && st.place.failing() {
			st.retry()
		}
	}
}
