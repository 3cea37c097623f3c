package store_test

import (
	"context"
	"fmt"
	"log"

	"github.com/s3db-go/replicator/store"
)

func Example() {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://app", store.WithPassphrase("correct horse"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	users, err := db.CreateResource(ctx, store.Definition{
		Name: "users",
		Attributes: store.Attributes{
			"name":     "string|required",
			"age":      "number|integer|min:18",
			"password": "secret",
			"address":  store.Attributes{"city": "string"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, u := range []store.Record{
		{"id": "u1", "name": "Alice", "age": 31, "password": "s3cret", "address": map[string]any{"city": "Rome"}},
		{"id": "u2", "name": "Bob", "age": 25},
	} {
		if _, err := users.Insert(ctx, u); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := users.Update(ctx, "u2", store.Record{"age": 26, "address": map[string]any{"city": "Oslo"}}); err != nil {
		log.Fatal(err)
	}

	adults := store.Filter{"age": map[string]any{"$gte": 26}, "address.city": map[string]any{"$in": []string{"Oslo", "Rome"}}}
	for u, err := range users.Query(ctx, adults, store.QueryOptions{Sort: []store.Order{{Field: "age"}}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(u.String("name"), u.Int("age"))
	}

	_, err = users.Insert(ctx, store.Record{"id": "u3", "age": 17, "phone": "1"})
	fmt.Println(err)
	// Output:
	// Bob 26
	// Alice 31
	// store: users u3: age: must be at least 18; name: is required; phone: is not declared
}
