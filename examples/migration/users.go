package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/s3db-go/replicator/store"
)

// fill gives the resource of the users, with one in it.
func fill(ctx context.Context, db *store.DB) (*store.Resource, error) {
	users, err := db.CreateResource(ctx, store.Definition{
		Name: "users",
		Attributes: store.Attributes{
			"name":          "string|required",
			"email":         "string|required",
			"password":      "secret|required", // never replicated
			"role":          "string",
			"apiKey":        "string", // never replicated
			"internalNotes": "string", // never replicated
		},
		Timestamps: true,
	})
	if err != nil {
		return nil, err
	}
	bob := store.Record{
		"id": "bob", "name": "Bob", "email": "bob@example.com", "password": "super-secret", "role": "admin",
		"apiKey": "sk_live_abc123", "internalNotes": "VIP customer - priority support",
	}
	_, err = users.Upsert(ctx, bob)
	return users, err
}

// work is what happens meanwhile.
func work(ctx context.Context, users *store.Resource) error {
	eve := store.Record{"id": "eve", "name": "Eve", "email": "eve@example.org", "password": "hers", "internalNotes": "left in May"}
	_, inserted := users.Upsert(ctx, eve)
	_, updated := users.Update(ctx, "bob", store.Record{"email": "bob@example.net"})
	return errors.Join(inserted, updated, users.Delete(ctx, "eve"))
}

// check prints the copy's records, and holds that they are what is public, as it is now,
// and nothing else. It needs no passphrase, since nothing in the copy is secret.
func check(ctx context.Context, out io.Writer, backup string) error {
	copied, err := store.Open(ctx, backup)
	if err != nil {
		return err
	}
	defer copied.Close()
	for _, want := range []store.Record{
		{"id": "bob", "name": "Bob", "email": "bob@example.net", "domain": "example.net", "is_admin": true},
		{"id": "eve", "name": "Eve", "email": "eve@example.org", "domain": "example.org", "is_admin": false}, // her delete did not go along
	} {
		user, err := copied.Resource("users_backup").Get(ctx, want.String("id"))
		if err != nil {
			return err
		}
		fields := strings.Join(slices.Sorted(maps.Keys(user)), " ")
		fmt.Fprintf(out, "%s: %s <%s> of %s, admin: %v; fields: %s\n", user["id"], user["name"], user["email"], user["domain"], user["is_admin"], fields)
		if !user.Pick("id", "name", "email", "domain", "is_admin").Equal(want) || fields != "createdAt created_date domain email id is_admin name" {
			return fmt.Errorf("the copy has another %s than it must", want["id"])
		}
	}
	return nil
}
