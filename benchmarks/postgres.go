package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/s3db-go/replicator/internal/testbed"
)

const (
	// postgresRows is how many changes wait where that is the point, unless -changes says
	// fewer.
	postgresRows = 1_000_000
	// postgresInserts is the most that is carried from Inserts on: the records stay in the
	// store's memory.
	postgresInserts = 200_000
	// postgresBatch is the driver's batch, and that of everybody who makes batches.
	postgresBatch = 1000
	// postgresWriters is how many connections write at the same time, the driver's too.
	postgresWriters = 4
	// postgresCallers insert at the same time.
	postgresCallers = 64
)

// createOrders makes the table of everybody but us. Our driver makes its own, which has
// a column for the version of each row.
const createOrders = `CREATE TABLE orders (id text PRIMARY KEY, name text, email text, city text, street text,
	total float8, items int8, paid bool, note text, phone text)`

// database is the PostgreSQL that is written to.
type database struct {
	url    string
	pool   *pgxpool.Pool
	server serverProcess
}

// effort is what was measured of one contender's work: how many rows a second, and what
// each took of the processors in this process and in the server's.
type effort struct{ rate, cpu, server sample }

// postgresCase measures what is written a second to a table of PostgreSQL, of changes that
// wait in the journal and of Inserts as they come, beside programs that have all rows in
// memory and nothing else to care for.
func postgresCase(c config, emit func(line)) (err error) {
	var b bed
	defer b.Close()
	url, ok, err := get(&b, testbed.Postgres)
	if !ok {
		return err
	}
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := &database{url: url, pool: pool}
	if db.server, err = findServer(pool); err != nil {
		return err
	}
	rows := min(c.changes, postgresRows)
	way, err := db.fastestWay(min(rows, postgresInserts), emit)
	if err != nil {
		return err
	}
	if err := db.drained(c, rows, way, emit); err != nil {
		return err
	}
	if err := db.carried(c, &b, min(rows, postgresInserts), way, emit); err != nil {
		return err
	}
	if err := db.carriedMany(c, min(rows, postgresInserts), way, emit); err != nil {
		return err
	}
	return db.latency(c, min(rows, 1000), emit)
}

// task is a contender's work: rows to be written, once.
type task struct {
	name string
	rows int
	// run has the work measured by the clock that it is given, around what counts.
	run func(clock func(work func() error) error) error
}

// rounds measures the tasks in turns, each with an empty database.
func (db *database) rounds(name string, n int, tasks []task) (efforts, error) {
	efforts := efforts{}
	for round := range n {
		for _, i := range order(round, len(tasks)) {
			t := tasks[i]
			e := efforts[t.name]
			if err := db.measure(name, t, &e); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			efforts[t.name] = e
		}
	}
	return efforts, nil
}

func (db *database) measure(name string, t task, e *effort) error {
	if err := db.exec("DROP TABLE IF EXISTS orders"); err != nil {
		return err
	}
	clock := func(work func() error) error {
		// Nobody pays for another's garbage, nor for pages that another made dirty.
		runtime.GC()
		if err := db.exec("CHECKPOINT"); err != nil {
			return err
		}
		served, err := db.server.processorTime()
		if err != nil {
			return err
		}
		began, used := time.Now(), processorTime()
		if err := work(); err != nil {
			return err
		}
		took, spent := time.Since(began), processorTime()-used
		after, err := db.server.processorTime()
		each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(t.rows) }
		e.rate = append(e.rate, float64(t.rows)/took.Seconds())
		e.cpu, e.server = append(e.cpu, each(spent)), append(e.server, each(after-served))
		return err
	}
	var err error
	pprof.Do(context.Background(), pprof.Labels("contender", name+"/"+t.name), func(context.Context) { err = t.run(clock) })
	if err != nil {
		return err
	}
	var arrived int
	err = db.pool.QueryRow(context.Background(), "SELECT count(*) FROM orders WHERE total = 129.5 AND items = 7 AND paid").Scan(&arrived)
	if err == nil && arrived != t.rows {
		err = fmt.Errorf("%d rows arrived of %d", arrived, t.rows)
	}
	return err
}

func (db *database) exec(statements ...string) error {
	var errs []error
	for _, s := range statements {
		_, err := db.pool.Exec(context.Background(), s)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// efforts are by the contender's name.
type efforts map[string]effort

// line puts ours beside the hand-written loop and the peers that there are.
func (e efforts) line(name string, rows int, peers ...string) line {
	l := e.beside(name, rows, peers...)
	l.Limit = round(e["hand"].rate.median())
	return l.judged()
}

// beside puts ours beside others, for the record.
func (e efforts) beside(name string, rows int, others ...string) line {
	ours := e["ours"].rate
	l := line{Case: fmt.Sprintf("%s/%d", name, rows), Ours: round(ours.median()), Unit: "rows/s", N: len(ours), Spread: round(ours.spread())}
	for _, other := range others {
		if theirs, ok := e[other]; ok {
			if l.Peers == nil {
				l.Peers = map[string]float64{}
			}
			l.Peers[other] = round(theirs.rate.median())
		}
	}
	return l
}

// drained measures rows that wait: in our journal, in a hand-written loop's memory, in
// Benthos's input.
func (db *database) drained(c config, rows int, way handWay, emit func(line)) error {
	var stages stageSample
	own, byHand, err := db.benthosTables()
	if err != nil {
		return err
	}
	hand := func(clock func(func() error) error) error { return db.byHand(way, handRows(rows), clock) }
	efforts, err := db.rounds("drain", c.rounds, []task{
		{"hand", rows, hand},
		{"ours", rows, func(clock func(func() error) error) error {
			_, err := inDirectory(c, func(dir string) (struct{}, error) { return struct{}{}, db.drain(dir, rows, &stages, clock) })
			return err
		}},
		{"hand again", rows, hand},
		{"benthos", rows, func(clock func(func() error) error) error { return db.benthosBatches(own, rows, clock) }},
		{"benthos by hand", rows, func(clock func(func() error) error) error { return db.benthosBatches(byHand, rows, clock) }},
	})
	if err != nil {
		return err
	}
	ours, limit := efforts["ours"], efforts["hand"]
	emit(efforts.line("postgres-drain", rows, "benthos"))
	emit(efforts.beside("postgres-drain-benthos", rows, "benthos by hand"))
	emit(line{Case: fmt.Sprintf("postgres-drain-aa/%d", rows), Limit: round(limit.rate.median()), Peers: map[string]float64{"hand again": round(efforts["hand again"].rate.median())},
		Unit: "rows/s", N: len(limit.rate), Spread: round(limit.rate.spread())})
	// The stages by difference, since nothing that counts in between would be free: the
	// journal read alone; a drain to nowhere; the whole.
	for _, stage := range []struct {
		name        string
		ours, limit sample
	}{
		{"journal", stages.journal, nil},
		{"engine", stages.nowhere.minus(stages.journal), nil},
		{"driver", ours.cpu.minus(stages.nowhere), limit.cpu},
		{"server", ours.server, limit.server},
	} {
		emitCPU("postgres-drain-cpu/"+stage.name, stage.ours, stage.limit, emit)
	}
	return nil
}

// carried measures Inserts into a store in memory, through the durable journal, until
// all is committed. The peers get the same records from as many callers, and keep them
// as they do: River in the database, the others in memory.
func (db *database) carried(c config, b *bed, rows int, way handWay, emit func(line)) error {
	// Who is slower gets fewer, for as long a measurement.
	slow, slower := max(rows/10, 1), max(rows/100, 1)
	own, byHand, err := db.benthosTables()
	if err != nil {
		return err
	}
	efforts, err := db.rounds("inserts", c.rounds, []task{
		{"hand", rows, func(clock func(func() error) error) error { return db.byHand(way, handRows(rows), clock) }},
		{"ours", rows, func(clock func(func() error) error) error {
			_, err := inDirectory(c, func(dir string) (struct{}, error) { return struct{}{}, db.insertAll(dir, rows, clock) })
			return err
		}},
		{"benthos", slow, func(clock func(func() error) error) error { return db.benthosSingly(own, slow, clock) }},
		{"benthos by hand", slow, func(clock func(func() error) error) error { return db.benthosSingly(byHand, slow, clock) }},
		{"river", slow, func(clock func(func() error) error) error { return db.river(slow, clock) }},
	})
	if err != nil {
		return err
	}
	// The original is not there on every machine, and is measured beside ours as it is.
	original, err := db.rounds("inserts", c.rounds, []task{{"s3db.js", slower, func(clock func(func() error) error) error { return db.original(b, slower, clock) }}})
	switch {
	case errors.Is(err, errLeftOut):
	case err != nil:
		return err
	default:
		efforts["s3db.js"] = original["s3db.js"]
	}
	emit(efforts.line("postgres", rows, "benthos", "river", "s3db.js"))
	emit(efforts.beside("postgres-benthos", rows, "benthos by hand"))
	emitCPU("postgres-cpu/process", efforts["ours"].cpu, efforts["hand"].cpu, emit)
	emitCPU("postgres-cpu/server", efforts["ours"].server, efforts["hand"].server, emit)
	return nil
}

// carriedMany is carried with batches of records in a call of InsertMany, as large as the
// hand-written loop's; Benthos is handed such batches.
func (db *database) carriedMany(c config, rows int, way handWay, emit func(line)) error {
	own, byHand, err := db.benthosTables()
	if err != nil {
		return err
	}
	efforts, err := db.rounds("many", c.rounds, []task{
		{"hand", rows, func(clock func(func() error) error) error { return db.byHand(way, handRows(rows), clock) }},
		{"ours", rows, func(clock func(func() error) error) error {
			_, err := inDirectory(c, func(dir string) (struct{}, error) { return struct{}{}, db.insertBatches(dir, rows, clock) })
			return err
		}},
		{"benthos", rows, func(clock func(func() error) error) error { return db.benthosBatches(own, rows, clock) }},
		{"benthos by hand", rows, func(clock func(func() error) error) error { return db.benthosBatches(byHand, rows, clock) }},
	})
	if err != nil {
		return err
	}
	emit(efforts.line("postgres-many", rows, "benthos"))
	emit(efforts.beside("postgres-many-benthos", rows, "benthos by hand"))
	emitCPU("postgres-many-cpu/process", efforts["ours"].cpu, efforts["hand"].cpu, emit)
	emitCPU("postgres-many-cpu/server", efforts["ours"].server, efforts["hand"].server, emit)
	return nil
}

// errLeftOut is that of a contender that is not on this machine.
var errLeftOut = errors.New("left out")

// emitCPU emits what a change takes of the processors, unless it is less than the system
// tells apart. limit may be empty.
func emitCPU(name string, ours, limit sample, emit func(line)) {
	if ours.median() <= 0 {
		return
	}
	l := line{Case: name, Ours: round(ours.median()), Unit: "µs/change", N: len(ours), Spread: round(ours.spread())}
	if len(limit) > 0 {
		l.Limit = round(limit.median())
	}
	emit(l)
}
