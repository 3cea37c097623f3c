package main

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/s3db-go/replicator/store"
)

// definitions are the shop's resources. The attribute revision counts the writes of
// a record, so that the end of the run can tell which write a state came from.
func definitions() []store.Definition {
	return []store.Definition{
		{
			Name: "customers",
			Attributes: store.Attributes{
				"revision": "number|integer|required|min:1",
				"name":     "string|required|min:2",
				"email":    "email|required",
				"city":     "string|required",
				"country":  "string|required|length:2",
				"segment":  "string|required",
				"company":  "string",
				"points":   "number|integer|min:0|default:0",
			},
			Timestamps: true,
		},
		{
			Name: "orders",
			Attributes: store.Attributes{
				"revision": "number|integer|required|min:1",
				"customer": "string|required",
				"lines":    "array|items:json|min:1",
				"total":    "number|required|min:0",
				"currency": "string|required|length:3",
				"status":   "string|required",
				"placedAt": "datetime|required",
			},
			Timestamps: true,
		},
	}
}

// close delivers what is left until ctx ends; the rest waits for the next openShop.
func (s *shop) close(ctx context.Context) error {
	return errors.Join(s.replicator.Stop(ctx), s.db.Close())
}

// fileURL is the connection string of a store below a directory.
func fileURL(dir, name string) string {
	path := filepath.ToSlash(filepath.Join(dir, name))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/shop
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
