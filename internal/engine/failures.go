package engine

import (
	"hash/maphash"
	"math"

	"github.com/s3db-go/replicator/cdc"
)

// failures knows of which records the ledger may have failures: a counting Bloom filter,
// so that a million of them take no more than a few. Being wrong costs a look into the
// ledger. With ten thousand failures that is one delivery in some three thousand, with a
// hundred thousand one in thirty.
type failures struct {
	counts []uint8 // nil until there is one
}

// failureCounts takes a megabyte, per destination that ever had a failure.
const failureCounts = 1 << 20

// places gives the two counts of a record. They are of different bits of its hash.
func places(hash uint64) [2]int {
	return [2]int{int(hash % failureCounts), int(hash >> 32 % failureCounts)}
}

// add notes n failures more, or fewer. A count that is full stays so.
func (f *failures) add(hash uint64, n int) {
	if f.counts == nil {
		if n <= 0 {
			return
		}
		f.counts = make([]uint8, failureCounts)
	}
	for _, at := range places(hash) {
		if now := int(f.counts[at]); now < math.MaxUint8 {
			f.counts[at] = uint8(min(max(now+n, 0), math.MaxUint8))
		}
	}
}

func (f *failures) may(hash uint64) bool {
	at := places(hash)
	return f.counts[at[0]] > 0 && f.counts[at[1]] > 0
}

func (c *Core) failureHash(target string, record cdc.Key) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, name := range [...]string{target, record.Resource, record.RecordID} {
		h.WriteString(name)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// Failing notes a failure that the ledger has of a record at a target. It is called
// before the first Step, for what former runs left.
func (c *Core) Failing(target string, record cdc.Key) {
	c.failures.add(c.failureHash(target, record), 1)
}

// Forgiven notes that the ledger has n failures fewer of a record at a target.
func (c *Core) Forgiven(target string, record cdc.Key, n int) {
	c.failures.add(c.failureHash(target, record), -n)
}

// mayMend reports whether the success of an item may close failures that the ledger has:
// of its record, at a target that wants state; else of the change itself, which a crash
// may have had repeated after it had failed.
func (c *Core) mayMend(it *item) bool {
	if it.status != Replicated || c.failures.counts == nil || it.target.limits.Events && it.entry.seq > c.known {
		return false
	}
	return c.failures.may(c.failureHash(it.target.name, it.tip.entry.change.RecordKey()))
}
