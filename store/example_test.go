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

// A partition keeps together what is asked for together: the query reads Anna's orders,
// and no others.
func ExampleResource_Query() {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	orders, err := db.CreateResource(ctx, store.Definition{
		Name:       "orders",
		Attributes: store.Attributes{"user": "string|required", "total": "number"},
		Partitions: map[string]store.Partition{"byUser": {"user": "string"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.InsertMany(ctx, []store.Record{
		{"id": "o1", "user": "anna", "total": 10},
		{"id": "o2", "user": "ben", "total": 20},
		{"id": "o3", "user": "anna", "total": 30},
		{"id": "o4", "user": "anna", "total": 40},
	}); err != nil {
		log.Fatal(err)
	}
	large := store.Filter{"user": "anna", "$or": []store.Filter{{"total": map[string]any{"$gt": 35}}, {"total": 10}}}
	for order, err := range orders.Query(ctx, large, store.QueryOptions{Sort: []store.Order{{Field: "total", Descending: true}}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(order["id"], order["total"])
	}
	// Output:
	// o4 40
	// o1 10
}

// Pages are for lists that a person leafs through.
func ExampleResource_Page() {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	tags, err := db.CreateResource(ctx, store.Definition{Name: "tags", Attributes: store.Attributes{"hits": "number|integer"}})
	if err != nil {
		log.Fatal(err)
	}
	for i, id := range []string{"go", "journal", "replica", "s3", "sql"} {
		if _, err := tags.Insert(ctx, store.Record{"id": id, "hits": i}); err != nil {
			log.Fatal(err)
		}
	}
	for cursor, last := "", false; !last; {
		page, err := tags.Page(ctx, store.PageOptions{Size: 2, Cursor: cursor})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print("page:")
		for _, tag := range page.Records {
			fmt.Print(" ", tag["id"])
		}
		fmt.Println()
		cursor, last = page.Next, page.Next == ""
	}
	// Output:
	// page: go journal
	// page: replica s3
	// page: sql
}

// A resource can be defined again: another definition makes a new version of it, and
// records stay readable.
func ExampleDB_CreateResource() {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	_, err = db.CreateResource(ctx, store.Definition{Name: "users", Attributes: store.Attributes{"mail": "email|require"}})
	fmt.Println(err)

	for version, attributes := range []store.Attributes{
		{"mail": "email|required"},
		{"mail": "email|required", "name": "string|default:friend"},
	} {
		users, err := db.CreateResource(ctx, store.Definition{Name: "users", Attributes: attributes, Timestamps: true})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := users.Insert(ctx, store.Record{"id": fmt.Sprint("u", version), "mail": "someone@example.com"}); err != nil {
			log.Fatal(err)
		}
	}
	for user, err := range db.Resource("users").List(ctx) {
		fmt.Println(user["id"], user["mail"], user["name"], err)
	}
	// Output:
	// store: users: mail: modifier "require" is not supported
	// u0 someone@example.com <nil> <nil>
	// u1 someone@example.com friend <nil>
}

// Read gives a record as a recorder needs it; Scan gives them in pieces, in the order of
// their ids.
func ExampleDB_Scan() {
	ctx := context.Background()
	db, err := store.Open(ctx, "memory://shop")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	tags, err := db.CreateResource(ctx, store.Definition{Name: "tags", Attributes: store.Attributes{"hits": "number|integer"}})
	if err != nil {
		log.Fatal(err)
	}
	for i, id := range []string{"s3", "go", "sql"} {
		if _, err := tags.Insert(ctx, store.Record{"id": id, "hits": i}); err != nil {
			log.Fatal(err)
		}
	}
	rows, err := db.Scan(ctx, "tags", "go", 10)
	for _, row := range rows {
		fmt.Println(row.RecordID, row.Data["hits"])
	}
	fmt.Println(len(rows), err)
	// Output:
	// s3 0
	// sql 2
	// 2 <nil>
}
