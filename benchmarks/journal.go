package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/codec"
	"github.com/s3db-go/replicator/internal/disk"
	"github.com/s3db-go/replicator/internal/journal"
)

const (
	// maxCallers is the highest number of callers that are measured.
	maxCallers = 1024
	// recordSize is what a change takes, encoded.
	recordSize = 512
	// frameOverhead is what the journal writes around one change, so that the limit
	// writes as many bytes: a header of 40, Seq, Version, 4 for the name of a
	// destination, 8 for its place among the changes of its frame, and 4 to align it.
	frameOverhead = 40 + 16 + 4 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journalCase measures how many changes a second are made durable. Every contender is
// handed a change, and encodes it in the caller's goroutine; in the line for the record
// "journal-bytes" the limit is handed the bytes.
func journalCase(c config, emit func(line)) error {
	change, err := changeOf(recordSize)
	if err != nil {
		return err
	}
	ready, err := codec.AppendChange(nil, &change)
	if err != nil {
		return err
	}
	ours := func(dir string) (session, error) { return openOurs(dir, change) }
	encoding := func(open func(string, func(int) []byte) (session, error)) func(string) (session, error) {
		return func(dir string) (session, error) { return open(dir, encoder(&change)) }
	}
	contenders := []contender{
		{"ours", ours},
		{"limit", encoding(openLimit)},
		{"ours again", ours},
		{"bbolt", encoding(openBolt)},
		{"insert", func(dir string) (session, error) { return openInsert(dir, change) }},
		{"sqlite", encoding(openSQLite)},
		{"bytes", func(dir string) (session, error) { return openLimit(dir, func(int) []byte { return ready }) }},
		{"pebble", encoding(openPebble)},
	}
	for _, callers := range []int{1, 64, maxCallers} {
		samples, err := compare(c, callers, contenders)
		if err != nil {
			return err
		}
		rate := func(of string) float64 { return round(samples[of].rate.median()) }
		record := func(of, as, unit string) line {
			s := samples[of].rate
			return line{Case: fmt.Sprintf("%s/%d", as, callers), Ours: rate(of), Unit: unit, N: len(s), Spread: round(s.spread())}
		}
		judged := record("ours", "journal", "appends/s")
		judged.Limit = rate("limit")
		judged.Peers = map[string]float64{"bbolt": rate("bbolt"), "sqlite": rate("sqlite"), "pebble": rate("pebble")}
		emit(judged.judged())
		noise := record("ours", "journal-aa", "appends/s")
		noise.Peers = map[string]float64{"ours again": rate("ours again")}
		emit(noise)
		bytes := record("ours", "journal-bytes", "appends/s")
		bytes.Limit = rate("bytes")
		emit(bytes)
		emit(record("insert", "journal-insert", "inserts/s"))
		cpu := samples["ours"].cpu
		emit(line{Case: fmt.Sprintf("journal-cpu/%d", callers), Ours: round(cpu.median()), Limit: round(samples["limit"].cpu.median()),
			Unit: "µs/append", N: len(cpu), Spread: round(cpu.spread())})
	}
	return nil
}

// encoder gives what every caller does with its change, in a buffer of its own.
func encoder(change *cdc.Change) func(caller int) []byte {
	var buffers [maxCallers][]byte
	return func(caller int) []byte {
		// It was encoded once without an error.
		buffers[caller], _ = codec.AppendChange(buffers[caller][:0], change)
		return buffers[caller]
	}
}

// changeOf gives a change of a size, encoded.
func changeOf(size int) (cdc.Change, error) {
	c := cdc.Change{
		ChangeID: cdc.ID{1}, Op: cdc.Inserted, Resource: "orders", RecordID: "o-000000000001",
		Data: cdc.Record{"id": "o-000000000001", "total": 129.5, "customer": "c-4711", "paid": true, "note": ""},
		Time: time.UnixMicro(1_700_000_000_000_000).UTC(),
	}
	for { // the length of the length may grow too
		b, err := codec.AppendChange(nil, &c)
		note := c.Data["note"].(string)
		switch missing := size - len(b); {
		case err != nil:
			return c, err
		case missing == 0:
			return c, nil
		case missing < -len(note):
			return c, fmt.Errorf("a change takes more than %d bytes", size)
		default:
			c.Data["note"] = strings.Repeat("x", len(note)+missing)
		}
	}
}

// own is our journal as a contender: one change made durable, which is what a writer
// waits for.
type own struct {
	fsys    disk.FS
	journal *journal.Disk
	changes []cdc.Change
}

func openOurs(dir string, change cdc.Change) (*own, error) {
	fsys, err := disk.OS(dir)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(fsys, journal.Options{})
	if err != nil {
		return nil, errors.Join(err, fsys.Close())
	}
	return &own{fsys, j, []cdc.Change{change}}, nil
}

func (o *own) do(int) error { return o.journal.Append(context.Background(), o.changes) }

func (o *own) Close() error { return errors.Join(o.journal.Close(), o.fsys.Close()) }

// inserting is all that one replicated Insert asks of our journal.
type inserting struct{ *own }

func openInsert(dir string, change cdc.Change) (session, error) {
	o, err := openOurs(dir, change)
	if err != nil {
		return nil, err
	}
	return inserting{o}, nil
}

func (i inserting) do(int) error {
	ticket, err := i.journal.Begin(context.Background(), slices.Clone(i.changes)) // they become the journal's
	if err == nil {
		i.journal.Commit(ticket, 0, nil)
	}
	return err
}
