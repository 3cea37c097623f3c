package store_test

import (
	"fmt"
	"testing"

	"github.com/s3db-go/replicator/store"
)

func BenchmarkInsert(b *testing.B) {
	for _, backend := range []string{"memory://x", "file", "file?sync=off"} {
		b.Run(backend, func(b *testing.B) {
			connection := backend
			if backend != "memory://x" {
				connection = "file://" + b.TempDir() + backend[len("file"):]
			}
			db, err := store.Open(b.Context(), connection)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			r, err := db.CreateResource(b.Context(), store.Definition{Name: "r", Attributes: store.Attributes{
				"name": "string", "email": "email", "total": "number", "n": "number|integer", "at": "datetime", "paid": "boolean",
			}})
			if err != nil {
				b.Fatal(err)
			}
			i := 0
			for b.Loop() {
				i++
				rec := store.Record{"id": fmt.Sprint(i), "name": "Alice", "email": "a@example.com", "total": 12.5, "n": i, "at": "2026-01-01T00:00:00Z", "paid": true}
				if _, err := r.Insert(b.Context(), rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
