package bigquery_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/bigquery"
	"github.com/s3db-go/replicator/internal/testbed"
)

// TestRandomHistory lets records come, change, take other keys and go, through batches
// that are repeated, and requests that fail before or after they were applied. Then each
// mode has to hold what it stands for.
func TestRandomHistory(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := newServer(t)
	o := s.options()
	o.Tables = map[string]bigquery.Table{"log": {Mutability: bigquery.AppendOnly}, "versions": {Mutability: bigquery.Immutable, View: "each_version"}}
	d := open(t, o)

	steps := 1500
	if s.standIn == nil || testing.Short() {
		steps = 150
	}
	h := &history{present: map[string]cdc.Record{}}
	var batches [][]cdc.Delivery
	for done := 0; done < steps; {
		var batch []cdc.Delivery
		busy := map[string]bool{} // records and keys in this batch
		for range 1 + rnd.IntN(30) {
			if step, ok := h.step(rnd, busy); ok {
				batch = append(batch, step)
			}
		}
		done += len(batch)
		rnd.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		batches = append(batches, batch)
		for _, target := range []string{"people", "log", "versions"} {
			h.send(t, s, d, rnd, target, batch)
		}
		if rnd.IntN(10) == 0 { // a request of long ago is found again
			h.send(t, s, d, rnd, "people", batches[rnd.IntN(len(batches))])
		}
	}

	want := slices.SortedFunc(maps.Values(h.present), func(a, b cdc.Record) int { return cmp.Compare(a.String("id"), b.String("id")) })
	s.holds(t, "people", "id", want...)
	h.holdsEach(t, s, "log", "log_changes", false)
	h.holdsEach(t, s, "versions", "each_version", true)
}

// history is what happened to records.
type history struct {
	version uint64
	present map[string]cdc.Record // by RecordID
	changes []cdc.Delivery
	repeats int
}

// step makes a change of a record that is not busy.
func (h *history) step(rnd *rand.Rand, busy map[string]bool) (cdc.Delivery, bool) {
	recordID := fmt.Sprint("r", rnd.IntN(40))
	before, there := h.present[recordID]
	key := recordID
	if there {
		key = before.String("id")
	}
	next := key
	if there && rnd.IntN(8) == 0 {
		next = fmt.Sprint(recordID, "-", rnd.IntN(3))
	}
	if busy[recordID] || busy[next] {
		return cdc.Delivery{}, false
	}
	busy[recordID], busy[next] = true, true
	h.version += 1 + rnd.Uint64N(1<<20)
	record := cdc.Record{"id": next, "n": int64(h.version), "price": decimal(fmt.Sprintf("%d.%02d", rnd.IntN(1000), rnd.IntN(100)))}
	if rnd.IntN(2) == 0 {
		record["note"] = fmt.Sprint("note ", rnd.IntN(100))
	}
	d := put(h.version, "", id(next), record)
	d.ChangeID = cdc.ID{8: byte(h.version >> 56), 9: byte(h.version >> 48), 10: byte(h.version >> 40), 11: byte(h.version >> 32), 12: byte(h.version >> 24), 13: byte(h.version >> 16), 14: byte(h.version >> 8), 15: byte(h.version)}
	d.RecordID, d.Time = recordID, time.UnixMicro(int64(h.version>>22)).UTC() // several at a time
	switch {
	case !there:
		d.Op = cdc.Inserted
	case rnd.IntN(4) == 0:
		d.Op, d.Key, d.Record, d.Before = cdc.Deleted, id(key), nil, before
	default:
		d.Before = before
		if next != key {
			d.OldKey = id(key)
		}
	}
	h.present[recordID] = d.Record
	if d.Record == nil {
		delete(h.present, recordID)
	}
	h.changes = append(h.changes, d)
	return d, true
}

// send delivers a batch, through a fault now and then, until all of it arrived.
func (h *history) send(t *testing.T, s *server, d *bigquery.Driver, rnd *rand.Rand, target string, batch []cdc.Delivery) {
	t.Helper()
	batch = slices.Clone(batch)
	for i := range batch {
		batch[i].Target = target
	}
	if s.standIn != nil && rnd.IntN(4) == 0 {
		kind := []string{"lost", "close", "unavailable", "exhausted", "missing", "denied"}[rnd.IntN(6)]
		s.standIn.Fault(t, testbed.BigQueryFault{Kind: kind, Surface: "write", Times: 1 + rnd.IntN(2)})
	}
	for range 5 {
		err := patient{d}.Apply(t.Context(), batch)
		if err == nil {
			return
		}
		h.repeats++
		if answer, ok := err.(*cdc.BatchError); ok {
			for _, err := range answer.Errs {
				if err != nil && cdc.FaultOf(err) != cdc.DestinationFault {
					t.Fatalf("an outage is %s: %v", cdc.FaultOf(err), err)
				}
			}
			i := 0
			batch = slices.DeleteFunc(batch, func(cdc.Delivery) bool { i++; return answer.Errs[i-1] == nil })
		}
	}
	t.Fatal("it does not arrive")
}

// holdsEach checks that a view has every change once, and in the table there is no
// other.
func (h *history) holdsEach(t *testing.T, s *server, table, view string, versions bool) {
	t.Helper()
	all, once := s.read(t, table), s.read(t, view)
	if s.standIn != nil && h.repeats > 20 && len(all) == len(once) {
		t.Errorf("%s: after %d repeats no row is there twice: nothing is shown", table, h.repeats)
	}
	want := map[string]cdc.Delivery{}
	for _, d := range h.changes {
		want[d.ChangeID.String()] = d
	}
	for _, row := range once {
		change := row.String("_change_id")
		d, ok := want[change]
		if !ok {
			t.Errorf("%s: change %q is there twice, or never was", view, change)
			continue
		}
		delete(want, change)
		record := d.Record
		if record == nil {
			record = d.Before
		}
		wanted := record.Clone()
		wanted["_change_id"], wanted["_operation_timestamp"] = change, d.Time
		wanted["_operation_type"] = map[cdc.Op]string{cdc.Inserted: "insert", cdc.Updated: "update", cdc.Deleted: "delete"}[d.Op]
		if versions {
			wanted["_version"], wanted["_is_deleted"] = int64(d.Version), d.Op == cdc.Deleted
		}
		if !row.Equal(wanted) {
			t.Errorf("%s: %v, want %v", view, row, wanted)
		}
	}
	for _, d := range want {
		t.Errorf("%s: %s is missing", view, d.Change)
	}
	if !versions {
		return
	}
	// In the order of their versions, the rows tell the whole story: what is left of it is
	// what is there now.
	slices.SortFunc(once, func(a, b cdc.Record) int { return cmp.Compare(a.Int("_version"), b.Int("_version")) })
	byVersion := map[int64]cdc.Delivery{}
	for _, d := range h.changes {
		byVersion[int64(d.Version)] = d
	}
	left := map[string]cdc.Record{}
	for _, row := range once {
		recordID := byVersion[row.Int("_version")].RecordID
		if left[recordID] = row; row.Bool("_is_deleted") {
			delete(left, recordID)
		}
	}
	if !maps.EqualFunc(left, h.present, func(row, record cdc.Record) bool { return row["id"] == record["id"] && row["n"] == record["n"] }) {
		t.Errorf("%s: its last versions are\n%v, want\n%v", view, left, h.present)
	}
}
