package engine

import (
	"hash/maphash"
	"maps"
	"slices"

	"github.com/s3db-go/replicator/cdc"
)

// mostParts bounds the records that are laid over one another for one delivery: more
// than any sane transform has shapes, few enough to be read again together.
const mostParts = 16

// span gives how many items of a lane, from one position on, one delivery can speak
// for. Where every change is wanted that is one; where only the state is, it is all
// that the newest of them contains. If some have their payload it ends with the last
// that has, so that what enters meanwhile is never waited for.
func (c *Core) span(l *lane, from int) int {
	head := l.queue.at(from)
	if l.target.limits.Events || head.refused() || c.isHeld(head) || head.errand != Deliver {
		return 1
	}
	var seen []uint64
	n := 1
	for ; from+n < l.queue.len(); n++ {
		next := l.queue.at(from + n)
		if !c.joins(l.queue.at(from+n-1), next) {
			break
		}
		if l.target.limits.Rows == cdc.RowsMerged && !next.deleted && !slices.Contains(seen, c.digest(next)) {
			if seen = append(seen, c.digest(next)); len(seen) == mostParts {
				break
			}
		}
	}
	for k := n; l.gone > 0 && k > 0; k-- {
		if !l.queue.at(from + k - 1).away {
			return k
		}
	}
	return n
}

// joins reports whether a state target that applies newer, laid over older where it
// merges rows, has all that both would have brought. A key change is never passed
// over. Nor is a delete by an upsert, except where that replaces the row: it clears
// what the upsert does not write.
func (c *Core) joins(older, newer *item) bool {
	rows := newer.target.limits.Rows
	switch {
	case newer.errand != Deliver || newer.busy || newer.refused() || c.isHeld(newer) || newer.grouped || older.grouped || newer.others != nil || older.others != nil:
		return false
	case newer.deleted:
		return true
	case older.deleted:
		return rows == cdc.RowsReplaced
	case rows != cdc.RowsUnknown || c.digest(older) == c.digest(newer):
		return true
	case older.away || newer.away:
		return false
	}
	for field := range older.delivery.Record {
		if !newer.delivery.Record.Has(field) {
			return false
		}
	}
	return true
}

// digest stands for the names of an item's fields when its payload is away.
func (c *Core) digest(it *item) uint64 {
	if it.fields == 0 {
		it.fields = 1
		for name := range it.delivery.Record {
			it.fields += maphash.String(c.seed, name) | 1
		}
	}
	return it.fields
}

// parts gives the items of a run whose payload its delivery is made of, in order: the
// last, and where rows are merged the newest of each set of fields.
func (c *Core) parts(buf []*item, l *lane, from, n int) []*item {
	tip := l.queue.at(from + n - 1)
	buf = append(buf, tip)
	if n == 1 || l.target.limits.Rows != cdc.RowsMerged || tip.deleted {
		return buf
	}
	for i := n - 2; i >= 0; i-- {
		it := l.queue.at(from + i)
		if !it.deleted && !slices.ContainsFunc(buf, func(p *item) bool { return c.digest(p) == c.digest(it) }) {
			buf = append(buf, it)
		}
	}
	slices.Reverse(buf)
	return buf
}

// complete gives the run that begins at a position, and its parts, if these have
// their payload.
func (c *Core) complete(l *lane, from int) (n int, parts []*item, ok bool) {
	n = c.span(l, from)
	c.partsBuf = c.parts(c.partsBuf[:0], l, from, n)
	return n, c.partsBuf, !slices.ContainsFunc(c.partsBuf, func(p *item) bool { return p.away })
}

// hold makes an item busy, speaking for a run.
func (it *item) hold(n int, parts []*item) {
	it.busy, it.group, it.tip = true, n, parts[len(parts)-1]
	if len(parts) > 1 {
		it.parts = slices.Clone(parts)
	}
}

// free makes it speak for itself again.
func (it *item) free() {
	it.busy, it.group, it.tip, it.parts, it.attempt = false, 0, nil, nil, nil
}

// made reports whether the delivery that failed with it has fields of this item, so
// that no other row of the ledger has them.
func (it *item) made(of *item) bool { return of == it.tip || slices.Contains(it.parts, of) }

// spoken gives the delivery of a run.
func spoken(parts []*item) cdc.Delivery {
	d := *parts[len(parts)-1].delivery
	if len(parts) > 1 {
		d.Record = parts[0].delivery.Record.Clone()
		for _, p := range parts[1:] {
			maps.Copy(d.Record, p.delivery.Record)
		}
	}
	return d
}
