package sim_test

const (
	attempt  = "internal/engine/attempt.go"
	settle   = "internal/engine/settle.go"
	window   = "internal/engine/window.go"
	writer   = "internal/journal/writer.go"
	disk     = "internal/journal/disk.go"
	doubt    = "internal/capture/doubt.go"
	captured = "internal/capture/capture.go"
)

// mutations are the mistakes that the worlds must find. The texts are those of the code
// as it is: who changes it changes them too.
var mutations = []mutation{
	{"cursor before log", "The cursor leaves out a change whose failed row is not durable yet.", []edit{{window,
		`	for e := w.first; e != nil; e = e.next {
		end := w.read`,
		`	skip := func() bool { return w.first != nil && w.first.items.status == Failed && w.first.open == 1 && w.first.next != nil }
	if skip() {
		c.Low = w.first.next.seq - 1
	}
	for e := w.first; e != nil; e = e.next {
		if e == w.first && skip() {
			continue
		}
		end := w.read`}}},

	{"commit visible before durable", "Readers get a group's commits before it is flushed.", []edit{{writer,
		`		g.err = d.store(g)
`,
		`		g.number()
		d.mu.Lock()
		early := d.tail
		early.push(g.entries...)
		d.tail, d.durable = early, max(d.durable, g.seq)
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
		g.err = d.store(g)
`}, {writer,
		`		pushed.push(g.entries...)
`,
		``}}},

	{"no fsync of the directory", "A new segment's name is not made durable.", []edit{{"internal/journal/segment.go",
		`	if err == nil {
		err = fsys.SyncDir(".")
	}
`,
		``}}},

	{"no fsync of the directory of cursors", "A small file takes its name, and the directory is not flushed.", []edit{{"internal/disk/disk.go",
		`	return fsys.SyncDir(path.Dir(name))
}

func writeTemp`,
		`	return nil
}

func writeTemp`}}},

	{"a failed fsync retried", "When the flush of a group fails it is flushed again, and that is believed.", []edit{{writer,
		`	if err == nil && d.opts.Sync == SyncAlways {
		err = w.file.Datasync()
	}
`,
		`	if err == nil && d.opts.Sync == SyncAlways {
		if err = w.file.Datasync(); err != nil {
			err = w.file.Datasync()
		}
	}
`}}},

	{"an unmarked batch item taken as delivered", "A batch answer with too few entries counts what it does not name as accepted.", []edit{{attempt,
		`		if len(batch.Errs) == n {
			return append(buf, batch.Errs...), false
		}
`,
		`		for len(batch.Errs) < n {
			batch.Errs = append(batch.Errs, nil)
		}
		if true {
			return append(buf, batch.Errs[:n]...), false
		}
`}}},

	{"a lane released before settle", "A failed change lets its successor go before its row is durable.", []edit{{settle,
		`		it.busy = true
		c.ended = append(c.ended, it)
`,
		`		it.busy = true
		c.ended = append(c.ended, it)
		if it.group == 1 && it.others == nil && it.errand == Deliver && it.lane.queue.front() == it && it.lane.queue.len() > 1 {
			it.lane.queue.pop()
			it.group = 0
			c.advance(it.lane)
		}
`}, {settle,
		`	l, others := it.lane, it.others
`,
		`	if it.group == 0 {
		c.settleOne(it, it, it.status)
		c.window.settle(it)
		return
	}
	l, others := it.lane, it.others
`}}},

	{"version at begin", "A change has its version from the announcement on, and not from the commit.", []edit{{disk,
		`		k, announced := key{ticket, it.index}, Entry{Change: it.change, Bytes: it.size}
`,
		`		it.change.Version = d.clock.Next(d.now())
		k, announced := key{ticket, it.index}, Entry{Change: it.change, Bytes: it.size}
`}, {disk,
		`	seq, version := d.number(1)
`,
		`	seq, version := d.number(1)
	version = cmp.Or(announced.Change.Version, version)
`}}},

	{"abort forgotten", "Recovery passes over the aborts that it reads.", []edit{{"internal/journal/scan.go",
		`		if _, announced := r.ended(k); !announced {
			return out, errors.New("a change is aborted`,
		`		if _, announced := r.pending[k]; !announced {
			return out, errors.New("a change is aborted`}}},

	{"trimming behind a cursor that is not durable", "Segments are deleted behind a cursor that is about to be saved.", []edit{{"internal/journal/cursor.go",
		`	b, err := d.fs.wrap(cursorMagic, c.encode(name))
	if err == nil {
`,
		`	d.cursors[name] = c.clone()
	d.trim()
	b, err := d.fs.wrap(cursorMagic, c.encode(name))
	if err == nil {
`}}},

	{"backfill without the changed-since check", "A chunk is appended whatever was committed while it was read.", []edit{{"internal/backfill/chunk.go",
		`	if sent, err = r.opts.Journal.AppendTo(r.ctx, s.Destination, changes, watch); err != nil {`,
		`	if sent, err = r.opts.Journal.AppendTo(r.ctx, s.Destination, changes, nil); err != nil {`}}},

	{"retry of an old state after a newer one", "Retry sends what failed as it was, whatever came later.", []edit{{"internal/engine/retry.go",
		`		if e.cfg.Hold || e.cfg.Read == nil || `,
		`		if true || `}, {"internal/engine/failures.go",
		`	return c.failures.may(`,
		`	return it.target.limits.Events && c.failures.may(`}}},

	{"a stuck attempt doubled", "An attempt that overran its timeout is started again beside the first.", []edit{{"internal/engine/core.go",
		`	case Tick:
		c.wakeAt = time.Time{}
`,
		`	case Tick:
		c.wakeAt = time.Time{}
		for _, a := range c.running {
			if c.overran(a) && a.items[0].attempt == a && a.items[0].heads() {
				b := c.newAttempt(a.target, false)
				b.put(a.items[0])
				c.running = append(c.running, b)
				c.act(Apply{b})
				break
			}
		}
`}}},

	{"what was left open forgotten", "Start forgets what a former process left open.", []edit{{captured,
		`	open := r.opts.Journal.Unresolved()
	if len(open) == 0 {
		return nil
	}
`,
		`	open := r.opts.Journal.Unresolved()
	if true {
		return nil
	}
`}}},

	{"a first look believed", "A remote store that shows the old state is believed at once.", []edit{{doubt,
		`believe: r.reader.SecondLook() == 0}`,
		`believe: true}`}, {doubt,
		`	believe := r.reader.SecondLook() == 0
`,
		`	believe := true
`}}},

	{"a stale state not told", "A write that was prepared before a doubt was resolved goes on.", []edit{{doubt,
		`		return cdc.ErrStale
`,
		`		return nil
`}}},

	{"what was read is not flushed", "Recovery relies on what may stand in the system's memory alone.", []edit{{writer,
		`	if err == nil {
		err = w.file.Datasync()
	}
	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	return nil
}

// outgrow`,
		`	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	return nil
}

// outgrow`}}},

	{"what a failed flush left is believed by the next process", "Recovery flushes what it read, but does not write it again.", []edit{{writer,
		`	if !found.ended {
		err = rewrite(`,
		`	if false {
		err = rewrite(`}}},

	{"a lane settles out of its order", "In a batch with several of a lane, the later is settled while the earlier waits for its row.", []edit{{settle,
		` || it.lane.queue.front() != it {`,
		` {`}}},

	{"settled deliveries of a change forgotten", "The cursor keeps changes alone, not which of their deliveries are settled.", []edit{{"internal/engine/window.go",
		`	c.Partial = append(c.Partial, w.partial...)
	return c`,
		`	c.Partial = nil
	return c`}}},

	{"a stalled lane keeps its payloads", "Nothing is given back when the window is full.", []edit{{"internal/engine/park.go",
		`	for c.stalled.Len() > 0 && c.window`,
		`	for false && c.stalled.Len() > 0 && c.window`}}},

	{"a bisection drops what was not tested", "Half of what a bisection set aside is never sent.", []edit{{"internal/engine/bisect.go",
		`	for _, it := range b.rest {
		it.free()`,
		`	for _, it := range b.rest[len(b.rest)/2:] {
		it.free()`}}},

	{"a bisection gives up without having tried alone", "Two suspects are given up together.", []edit{{"internal/engine/attempt.go",
		`	if j.batch && (fault`,
		`	if a.bisection != nil && len(a.items) == 2 {
		j.batch = false
	}
	if j.batch && (fault`}}},

	{"a bisection takes the last suspect for guilty", "The last suspect is given up untried.", []edit{{"internal/engine/bisect.go",
		`	if len(b.suspects) > 0 {
		b.target`,
		`	if len(b.suspects) == 1 && b.asked > 0 && b.suspects[0].last != nil {
		it := b.suspects[0]
		it.err = it.last
		c.end(it, Failed)
		b.suspects = nil
	}
	if len(b.suspects) > 0 {
		b.target`}}},

	{"held lanes forgotten at the start", "With Hold, a restart knows nothing of former failures.", []edit{{"internal/engine/hold.go",
		`func (c *Core) Hold(target, lane string, seq uint64) { c.targetOf(target).hold(lane, seq) }`,
		`func (c *Core) Hold(target, lane string, seq uint64) {}`}}},

	{"an outage gives up what is young", "GiveUpAfter looks at the outage alone, not at the change.", []edit{{"internal/engine/hold.go",
		`	return c.now.Sub(time.UnixMicro(tip.entry.at)) >= after
`,
		`	return !time.UnixMicro(tip.entry.at).IsZero()
`}}},

	{"what is given up lacks what it speaks for", "What is given up for want of a destination goes into the log without the payload that was given back.", []edit{{"internal/engine/target.go",
		`		n, parts, _ := c.complete(it.lane, 0)
		it.err = fmt.Errorf("unavailable for more than %v: %w", c.set.GiveUpAfter, c.breaker.err)
`,
		`		it.err = fmt.Errorf("unavailable for more than %v: %w", c.set.GiveUpAfter, c.breaker.err)
		n, parts, _ := c.complete(it.lane, 0)
`}}},

	{"rows taken for replaced that are merged", "An upsert takes the place of a delete where rows are merged.", []edit{{"internal/engine/group.go",
		`		return rows == cdc.RowsReplaced
`,
		`		return rows != cdc.RowsUnknown
`}}},

	{"the newest alone of rows that are merged", "Of several records for one merged row only the newest is sent.", []edit{{"internal/engine/group.go",
		`	if n == 1 || l.target.limits.Rows != cdc.RowsMerged || tip.deleted {`,
		`	if n > 0 {`}}},

	{"an unavailable destination costs attempts", "Every failure is charged, whoever is to blame.", []edit{{attempt,
		`	if c.breaker.open() || c.accepted == since || cdc.IsGone(j.err) {`,
		`	if c.breaker.open() || cdc.IsGone(j.err) {`}}},

	{"an unsteady destination costs records", "A record is given up after as many failures as unavailable as after others.", []edit{{attempt,
		`it.missed < max(patience, c.set.Retries)`,
		`it.missed < c.set.Retries`}}},

	{"a discarded failure goes again", "The log gives what was discarded for failed.", []edit{{"internal/ledger/row.go",
		`{ return s == Failed || s == Held }`,
		`{ return s == Failed || s == Held || s == Discarded }`}}},

	{"a success closes failures under another key", "What failed of a record is superseded by whatever is accepted of it later.", []edit{{"internal/engine/covers.go",
		`	if !o.Covers || o.Rows == nil || o.Status != Replicated {`,
		`	if true {`}}},

	{"a record that leaves its key stands in one lane", "An update that moves the key does not wait for what is under the former one.", []edit{{"internal/engine/core.go",
		`laneName(v, r.Change), v.OldLane, recordLane`,
		`laneName(v, r.Change), "", recordLane`}}},

	{"a record that leaves its group stands in one lane", "A change that moves from one name of OrderBy to another waits in the new one alone.", []edit{{"internal/route/user.go",
		`			old = group + was
`,
		`			_ = was
`}}},

	{"retried under several keys at once", "What failed of a record under several keys is sent again lane by lane.", []edit{{"internal/engine/linked.go",
		`		name := row.Change.RecordKey().String()
		if e.cfg.Hold && len(lanes) > 0 {`,
		`		name := ""
		if len(lanes) > 0 {`}, {"internal/engine/linked.go",
		`			lanes = []string{row.Change.RecordID}
		default:`,
		`			lanes = lanes[:1]
		default:`}}},

	{"a restatement leaves a row behind", "What a record is now goes, and of the rows that failures left only the first is removed.", []edit{{"internal/engine/restate.go",
		`	case at < 0:
`,
		`	case len(s.verdicts) > 0:
	case at < 0:
`}}},

	{"a restatement stands in one lane", "The rows that a record had are removed whatever waits under their keys.", []edit{{"internal/engine/restate.go",
		`		s.lanes = together(s.lanes, v.Lane, v.OldLane)
`,
		`		s.lanes = []string{v.Lane}
`}}},

	{"what hangs together goes lane by lane", "With Hold, what is held behind a change that left its lane goes without waiting for what is in the other.", []edit{{"internal/engine/linked.go",
		`	for before := 0; len(lanes) > before; {`,
		`	for before := 0; false && len(lanes) > before; {`}}},

	{"a record that is inserted anew does not wait", "With Hold, a record's lane is that of its key alone.", []edit{{"internal/engine/core.go",
		`	if !hold || v.Grouped {`,
		`	if true {`}}},

	{"a mark is forgotten", "What the log has as being on its way, after an error, is never sent.", []edit{{"internal/engine/retry.go",
		`		e.takeUpLater() // the`,
		`		// the`}}},

	{"nothing is encrypted", "Segments and cursors are begun without a key.", []edit{{"internal/journal/encrypt.go",
		`	if v.keys.KeyID == nil {
		return ""
	}
	return v.keys.KeyID()`,
		`	return ""`}}},

	{"the new key for an old file", "What was written under a former key is read with the present one.", []edit{{"internal/journal/encrypt.go",
		`	key, err := keys.Key(s.id)
`,
		`	key, err := keys.Key(keys.KeyID())
`}}},

	{"what a full journal lets go is not counted", "Unjournaled forgets how many changes it let go.", []edit{{"internal/journal/full.go",
		`		d.unjournaled += uint64(n)
`,
		``}}},

	{"a full journal takes no ends", "While the journal is full the ends of what was announced before are dropped.", []edit{{"internal/journal/full.go",
		`				kept.commit(s)
`,
		`				seq--
`}}},

	{"a cursor before what it counts", "Without SyncAlways a cursor is saved that speaks of changes which are not flushed.", []edit{{"internal/journal/cursor.go",
		`		err = d.awaitFlush(c.highest())
`,
		``}}},

	{"misses are not told", "A listener that is too slow is told of one miss where it missed several.", []edit{{"internal/hub/subscriber.go",
		`			it.value = missed(it.missed)
`,
		`			it.value = missed(1)
`}}},

	{"a flush that failed is believed the second time", "With an interval a flush that failed is repeated, which the system takes for done.", []edit{{"internal/journal/sync.go",
		`		return w.failed // the system takes for flushed what it could not flush
`,
		`		w.failed = nil
`}}},

	{"an interval without its flush", "What was written is flushed with the next segment or cursor, and not by the clock.", []edit{{writer,
		`		d.syncTimer.Reset(time.Duration(d.opts.Sync))
`,
		``}}},

	{"a schema without its former fields", "A target is given the fields of the present version alone while records of an earlier one come.", []edit{{"internal/engine/calls.go",
		`	return widened(present, brought), true, nil
`,
		`	return present, true, nil
`}}},

	{"a record before its schema", "What is ready to go does so before the schema that it follows.", []edit{{"internal/engine/target.go",
		`	case t.due.len() > 0:
`,
		`	case t.due.len() > 0 && t.ready.len() == 0:
`}}},

	{"a schema change is passed over", "The engine settles a schema change that it reads in the journal, and no target hears of it.", []edit{{"internal/engine/shape.go",
		`	e := c.window.add(r.Change, r.Bytes, len(ways))
`,
		`	if true {
		return
	}
	e := c.window.add(r.Change, r.Bytes, len(ways))
`}}},
}
