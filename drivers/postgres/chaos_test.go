package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
	"github.com/s3db-go/replicator/store"
)

var (
	chaosSeed   = flag.Uint64("chaos.seed", 1, "what TestChaos draws its operations and faults from")
	chaosFaults = flag.Int("chaos.faults", 10, "how many faults TestChaos goes through")
)

// attempt is how long an attempt may take.
const attempt = 1500 * time.Millisecond

// chaos is a shop that is written to while its database suffers.
type chaos struct {
	t      *testing.T
	server *testbed.PostgresServer
	root   string // connection strings: the administrator's, who comes directly,
	app    string // and the driver's, through the proxy
	proxy  *testbed.Proxy
	db     *store.DB
	r      *replicator.Replicator

	writes atomic.Int64
	fields atomic.Int64 // how many the resource people got while it ran
	orders atomic.Int64 // how many changes of orders there were
}

// TestChaos writes, and adds attributes, while the server is killed, connections are
// reset, cut, held and lose the answer to a commit, backends are terminated, a table is
// dropped, and the password changes and changes back. Afterwards the tables equal the
// store, row for row, and nothing has failed.
func TestChaos(t *testing.T) {
	c := newChaos(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	const hands = 4
	for hand := range hands {
		rng := rand.New(rand.NewPCG(*chaosSeed, uint64(hand)))
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c.write(rng, hand)
			}
		})
	}
	rng := rand.New(rand.NewPCG(*chaosSeed, 99))
	faults := c.faults()
	names := slices.Sorted(maps.Keys(faults))
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for n := range *chaosFaults {
		name := names[n%len(names)]
		t.Logf("after %d writes: %s", c.writes.Load(), name)
		faults[name](rng)
		c.pause(200 * time.Millisecond)
	}
	stop()
	writers.Wait()

	flushed, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := c.r.Flush(flushed); err != nil {
		t.Fatalf("%v\n%+v", err, c.r.Health())
	}
	for row, err := range c.r.Log(t.Context(), replicator.Query{}) {
		t.Errorf("%s %s %s: %s %v", row.Status, row.Target, row.RecordID, row.Error, err)
	}
	t.Logf("%d writes, %d attributes added", c.writes.Load(), c.fields.Load())
	c.compare()
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{t: t, server: testbed.NewPostgresServer(t)}
	c.root = c.server.URL("postgres", "", "postgres")
	exec(t, c.root, `CREATE ROLE app LOGIN PASSWORD 'one'`, `CREATE DATABASE shop OWNER app`)
	c.root = c.server.URL("postgres", "", "shop")
	c.proxy = testbed.NewProxy(t, "unix", c.server.Socket())
	c.app = (&url.URL{
		Scheme: "postgres", User: url.UserPassword("app", "one"), Host: c.proxy.Addr().String(), Path: "/shop", RawQuery: "sslmode=disable",
	}).String()
	var err error
	if c.db, err = store.Open(t.Context(), "memory://shop"); err != nil {
		t.Fatal(err)
	}
	for _, def := range []store.Definition{
		{Name: "people", Attributes: store.Attributes{"name": "string|required", "age": "number|integer", "joined": "datetime", "tags": "array|items:string"}},
		{Name: "orders", Attributes: store.Attributes{"number": "number|integer|required", "total": "number|required", "note": "string"}},
	} {
		if _, err := c.db.CreateResource(t.Context(), def); err != nil {
			t.Fatal(err)
		}
	}
	c.r, err = replicator.New(c.db, replicator.Options{
		Dir: t.TempDir(), Timeout: attempt,
		Destinations: []replicator.Destination{{
			Driver: postgres.New(postgres.Options{ConnectionString: c.app, Tables: map[string]postgres.Table{"audit": {Mode: postgres.Append}}}),
			Routes: []replicator.Route{
				{From: "people"},
				{From: "orders", To: "sales.orders", Key: []string{"half", "number"}, Transform: byNumber},
				{From: "orders", To: "audit"},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.r.Stop(ctx) // without draining
		c.db.Close()
	})
	return c
}

// byNumber keys orders by two columns, one of which changes with the order's number.
func byNumber(c replicator.Change) (replicator.Record, error) {
	n := c.Data.Int("number")
	return replicator.Record{"half": c.RecordID, "number": n, "sum": c.Data["total"], "odd": n%2 == 1}, nil
}

// pause is how long a fault lasts.
func (c *chaos) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.t.Context().Done():
	}
}

// write does one random write. Each hand has its own records.
func (c *chaos) write(rng *rand.Rand, hand int) {
	ctx := c.t.Context()
	id := fmt.Sprintf("%d-%d", hand, rng.IntN(60))
	resource, record := "people", store.Record{
		"id": id, "name": fmt.Sprint("name ", rng.IntN(1000)), "joined": time.Unix(rng.Int64N(2e9), 123456000).UTC(), "tags": []any{"a", fmt.Sprint(rng.IntN(9))},
	}
	if n := c.fields.Load(); n > 0 && rng.IntN(2) == 0 {
		record[fmt.Sprint("extra", rng.Int64N(n))] = rng.Int64N(1000)
	}
	if rng.IntN(2) == 0 {
		record["age"] = rng.Int64N(100)
	}
	if rng.IntN(3) == 0 {
		resource, record = "orders", store.Record{"id": id, "number": rng.Int64N(5), "total": float64(rng.IntN(10000)) / 100}
	}
	var err error
	if rng.IntN(5) == 0 {
		err = c.db.Resource(resource).Delete(ctx, id)
	} else {
		_, err = c.db.Resource(resource).Replace(ctx, id, record)
	}
	if err != nil && rng.IntN(5) != 0 {
		_, err = c.db.Resource(resource).Insert(ctx, record)
	}
	if err == nil {
		c.writes.Add(1)
		if resource == "orders" {
			c.orders.Add(1)
		}
	}
	if c.writes.Load()%50 == 0 {
		c.pause(time.Millisecond) // some hundred thousand writes would only make the test longer
	}
}

// faults are what may befall the database, by name.
func (c *chaos) faults() map[string]func(*rand.Rand) {
	ctx := c.t.Context()
	return map[string]func(*rand.Rand){
		"the server is killed and started": func(rng *rand.Rand) {
			if err := c.server.Kill(); err != nil {
				c.t.Fatal(err)
			}
			c.pause(time.Duration(rng.IntN(500)) * time.Millisecond)
			if err := c.server.Start(ctx); err != nil {
				c.t.Fatal(err)
			}
		},
		"connections are reset": func(rng *rand.Rand) {
			for range 30 {
				c.proxy.Reset()
				c.pause(time.Duration(rng.IntN(40)) * time.Millisecond)
			}
		},
		"nothing gets through for a while": func(rng *rand.Rand) {
			_, release := c.proxy.Hold()
			c.pause(attempt + time.Duration(rng.IntN(500))*time.Millisecond) // what arrives then is late
			release()
		},
		"answers are lost": func(rng *rand.Rand) {
			restore := c.proxy.LoseAnswers()
			c.pause(time.Duration(rng.IntN(500)) * time.Millisecond)
			restore()
		},
		"requests are cut": func(rng *rand.Rand) {
			for range 20 {
				restore := c.proxy.CutRequests()
				c.pause(time.Duration(rng.IntN(10)) * time.Millisecond)
				restore()
				c.pause(time.Duration(rng.IntN(30)) * time.Millisecond)
			}
		},
		"backends are terminated": func(rng *rand.Rand) {
			for range 5 {
				exec(c.t, c.root, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'`)
				c.pause(time.Duration(rng.IntN(60)) * time.Millisecond)
			}
		},
		"a table is dropped": func(*rand.Rand) {
			exec(c.t, c.root, `DROP TABLE IF EXISTS people`)
			again, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if err := c.r.Backfill(again, "postgres", "people"); err != nil {
				c.t.Fatal(err)
			}
		},
		"the password changes": func(rng *rand.Rand) {
			exec(c.t, c.root, `ALTER ROLE app PASSWORD 'two'`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'`)
			c.pause(time.Duration(rng.IntN(800)) * time.Millisecond)
			exec(c.t, c.root, `ALTER ROLE app PASSWORD 'one'`)
		},
		"attributes are added": func(*rand.Rand) {
			n := c.fields.Load()
			_, err := c.db.ChangeResource(ctx, "people", func(def store.Definition) store.Definition {
				def.Attributes = maps.Clone(def.Attributes)
				def.Attributes[fmt.Sprint("extra", n)] = "number|integer"
				return def
			})
			if err != nil {
				c.t.Fatal(err)
			}
			c.fields.Add(1)
		},
	}
}

// compare reads the tables and the store.
func (c *chaos) compare() {
	want := map[string]map[string]cdc.Record{"people": {}, "sales.orders": {}}
	for _, resource := range []string{"people", "orders"} {
		for after := ""; ; {
			rows, err := c.db.Scan(c.t.Context(), resource, after, 1000)
			if err != nil {
				c.t.Fatal(err)
			}
			if len(rows) == 0 {
				break
			}
			for _, row := range rows {
				after = row.RecordID
				if resource == "people" {
					record := row.Data.Clone()
					record["id"] = row.RecordID
					want["people"][row.RecordID] = record
					continue
				}
				record, _ := byNumber(replicator.Change{RecordID: row.RecordID, Data: row.Data})
				want["sales.orders"][fmt.Sprint(row.RecordID, " ", record["number"])] = record
			}
		}
	}
	for table, rows := range want {
		got := map[string]cdc.Record{}
		for _, r := range read(c.t, c.root, table) {
			key := r.String("id")
			if table == "sales.orders" {
				key = fmt.Sprint(r["half"], " ", r["number"])
			}
			got[key] = r
		}
		if len(rows) == 0 {
			c.t.Errorf("%s: the store is empty, which shows nothing", table)
		}
		for key, record := range rows {
			if !got[key].Equal(record) {
				c.t.Errorf("%s %s is %v, want %v", table, key, got[key], record)
			}
		}
		for key := range got {
			if rows[key] == nil {
				c.t.Errorf("%s %s is too much", table, key)
			}
		}
	}
	conn := connect(c.t, c.root)
	var changes, versions int64
	if err := conn.QueryRow(c.t.Context(), `SELECT count(*), count(DISTINCT _version) FROM audit`).Scan(&changes, &versions); err != nil {
		c.t.Fatal(err)
	}
	if want := c.orders.Load(); changes != want || versions != want {
		c.t.Errorf("the audit has %d changes, %d of them different; there were %d", changes, versions, want)
	}
}
