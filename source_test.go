package replicator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator"
	"github.com/s3db-go/replicator/cdc/sourcetest"
	"github.com/s3db-go/replicator/drivers/memory"
)

// TestSourceContract: a store of a few lines, made a source by NewSource, keeps the
// contract of sources.
func TestSourceContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		s := newShelf()
		names, version := []string{"things"}, 1
		s.CustomSource = replicator.NewSource(replicator.SourceOptions{
			Get: s.get, Scan: func(ctx context.Context, resource, after string, limit int) ([]replicator.Row, error) {
				rows, err := s.scan(ctx, resource, after, limit)
				for i := range rows {
					rows[i].SchemaVersion = version
				}
				return rows, err
			}, Resources: func() []string { return names },
			Describe: func(context.Context, string) (replicator.Schema, bool, error) {
				return replicator.Schema{Version: version}, true, nil
			},
		})
		return sourcetest.Harness{
			Source:   s,
			Resource: "things",
			Create:   func(_ context.Context, name string) error { names = append(names, name); return nil },
			Redefine: func(ctx context.Context, name string) error {
				version++
				s.SchemaChanged(ctx, name)
				return nil
			},
			Insert: s.put,
			Update: s.put,
			Delete: s.remove,
			Refuse: func(ctx context.Context, resource string) error {
				return s.put(ctx, resource, "x", replicator.Record{"f": func() {}})
			},
			FailNext:  func() { s.fail(replicator.NotApplied(errors.New("disk full")), false) },
			DoubtNext: func(applied bool) { s.fail(errors.New("timeout"), applied) },
		}
	})
}

// TestWritePanics: a write that panics leaves its record in doubt, not the program.
func TestWritePanics(t *testing.T) {
	s := newShelf()
	d := newEvents()
	r := start(t, s, replicator.Options{Destinations: to(d, "r")})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Write(t.Context(), replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: "1", Data: replicator.Record{"v": 1}},
			func(context.Context) error { panic("half way") })
	}()
	if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	if got := d.Events("r"); len(got) != 1 || got[0].Record.Int("v") != 2 {
		t.Errorf("arrived: %v, want only the write that was applied", got)
	}
}

// TestLateWrite: a remote store applies a write two seconds after its client gave up.
// The next write of the record waits until that is known, and is made of what is there
// then.
func TestLateWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newShelf(), newEvents()
		s.CustomSource = replicator.NewSource(replicator.SourceOptions{Get: s.get, SecondLook: 5 * time.Second})
		r := start(t, s, replicator.Options{Destinations: to(d, "r")})
		late := make(chan struct{})
		err := s.Write(t.Context(), replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: "1", Data: replicator.Record{"v": 1}},
			func(context.Context) error {
				go func() {
					defer close(late)
					time.Sleep(2 * time.Second) // virtual
					_ = s.set(func() { s.items["r/1"] = replicator.Record{"v": int64(1)} })
				}()
				return context.DeadlineExceeded
			})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if n := r.Stats().InDoubt; n != 1 {
			t.Errorf("%d records in doubt, want 1", n)
		}
		if err := s.put(t.Context(), "r", "1", replicator.Record{"v": 2}); err != nil {
			t.Fatal(err)
		}
		<-late
		flush(t, r)
		got := d.Events("r")
		if len(got) != 2 || got[0].Op != replicator.Inserted || got[0].Record.Int("v") != 1 ||
			got[1].Op != replicator.Updated || got[1].Before.Int("v") != 1 || got[1].Record.Int("v") != 2 {
			t.Errorf("arrived: %v", got)
		}
		halt(t, r)
	})
}

// TestNilRecord: a record that is there and nil is no answer, and not one that is gone.
func TestNilRecord(t *testing.T) {
	src := replicator.NewSource(replicator.SourceOptions{Get: func(context.Context, string, string) (replicator.Record, bool, error) {
		return nil, true, nil
	}})
	if record, there, err := src.Read(t.Context(), "r", "1"); err == nil || there || record != nil {
		t.Errorf("Read gives %v, %v, %v; want an error", record, there, err)
	}
}

// TestWarnsOfMissingResources: of a resource that a route names and the source does not
// have a warning tells, unless the source can't say what it has.
func TestWarnsOfMissingResources(t *testing.T) {
	s := newShelf()
	describes := func(_ context.Context, resource string) (replicator.Schema, bool, error) {
		return replicator.Schema{Version: 1}, resource == "there", nil
	}
	for name, tt := range map[string]struct {
		opts replicator.SourceOptions
		want []string
	}{
		"describes":      {replicator.SourceOptions{Get: s.get, Describe: describes}, []string{"missing"}},
		"can't describe": {replicator.SourceOptions{Get: s.get}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			r, err := replicator.New(replicator.NewSource(tt.opts), replicator.Options{
				Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&lines, nil)), Destinations: to(newEvents(), "there", "missing"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			halt(t, r)
			var warned []string
			for line := range strings.Lines(lines.String()) {
				if _, resource, found := strings.Cut(line, "does not have yet"); found {
					_, resource, _ = strings.Cut(strings.TrimSpace(resource), "resource=")
					warned = append(warned, resource)
				}
			}
			if !slices.Equal(warned, tt.want) {
				t.Errorf("warned of %v, want %v\n%s", warned, tt.want, &lines)
			}
		})
	}
}

// TestWriteFaults: a change that makes no sense is refused before anything is written.
func TestWriteFaults(t *testing.T) {
	s := newShelf()
	start(t, s, replicator.Options{Destinations: to(newEvents(), "r")})
	good := replicator.Change{Op: replicator.Inserted, Resource: "r", RecordID: "7", Data: replicator.Record{"id": 7}}
	for want, spoil := range map[string]func(*replicator.Change){
		"Op of the change of r/7 is none":             func(c *replicator.Change) { c.Op = 0 },
		"Op of the change of r/7 is inserted|deleted": func(c *replicator.Change) { c.Op = replicator.Inserted | replicator.Deleted },
		"Op of the change of r/7 is Op(64)":           func(c *replicator.Change) { c.Op = 64 },
		"Resource of the change is empty":             func(c *replicator.Change) { c.Resource = "" },
		"RecordID of the change of r is empty":        func(c *replicator.Change) { c.RecordID = "" },
		"r/7: Data of the change is nil":              func(c *replicator.Change) { c.Data = nil },
		"r/7: the id in Data is another one":          func(c *replicator.Change) { c.Data = replicator.Record{"id": 8} },
		"r/7: field f: a func() can't be replicated":  func(c *replicator.Change) { c.Data = replicator.Record{"f": func() {}} },
	} {
		c := good
		spoil(&c)
		written := false
		err := s.Write(t.Context(), c, func(context.Context) error { written = true; return nil })
		if err == nil || !strings.Contains(err.Error(), want) || written {
			t.Errorf("got %v, written %v; want %q", err, written, want)
		}
	}
	if err := s.Write(t.Context(), good, func(context.Context) error { return nil }); err != nil {
		t.Errorf("a good change: %v", err)
	}
}

// A Get that waits for a lock that its caller's caller holds is told, and one that answers
// is not.
func TestAGetThatDoesNotReturnIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		wait := time.Second
		s := replicator.NewSource(replicator.SourceOptions{Get: func(context.Context, string, string) (replicator.Record, bool, error) {
			time.Sleep(wait)
			return nil, false, nil
		}})
		r := start(t, s, replicator.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil)), Destinations: to(memory.New(memory.Options{}), "orders")})
		write := func() {
			change := replicator.Change{Op: replicator.Inserted | replicator.Updated, Resource: "orders", RecordID: "o1", Data: replicator.Record{"v": 1}}
			if err := s.Write(t.Context(), change, func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		write()
		if strings.Contains(lines.String(), "Get") {
			t.Errorf("one that answers is told: %s", &lines)
		}
		wait = 70 * time.Second // which is after five seconds and after a minute more
		write()
		synctest.Wait()
		if n := strings.Count(lines.String(), "SourceOptions.Get has not returned"); n != 2 || !strings.Contains(lines.String(), "record=o1") {
			t.Errorf("it is told %d times: %s", n, &lines)
		}
		halt(t, r)
	})
}

// TestAWriteThatNobodyCapturesIsTold before Start and after Stop, each once.
func TestAWriteThatNobodyCapturesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		s := replicator.NewSource(replicator.SourceOptions{Get: func(context.Context, string, string) (replicator.Record, bool, error) { return nil, false, nil }})
		write := func(resource string) {
			change := replicator.Change{Op: replicator.Inserted, Resource: resource, RecordID: "o1", Data: replicator.Record{"v": 1}}
			if err := s.Write(t.Context(), change, func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		told := func(text string, want int) {
			t.Helper()
			if n := strings.Count(lines.String(), text); n != want {
				t.Errorf("%q is told %d times, want %d: %s", text, n, want, &lines)
			}
		}
		r, err := replicator.New(s, replicator.Options{Volatile: true, Logger: slog.New(slog.NewTextHandler(&lines, nil)), Destinations: to(memory.New(memory.Options{}), "orders")})
		if err != nil {
			t.Fatal(err)
		}
		write("orders")
		write("orders")
		told("level=WARN msg=\"a write while the replicator is not started", 1)
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		write("orders")
		told("not started", 1)
		for range 2 {
			write("ordres")
		}
		told("level=INFO msg=\"no route takes the resource", 1)
		told("resource=ordres routes=[orders]", 1)
		for i := range 100 {
			write(fmt.Sprint("other", i))
		}
		told("no route takes", 20)
		halt(t, r)
		write("orders")
		told("not started", 2)
	})
}
