package main

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/s3db-go/replicator"
)

var (
	//go:embed data/firstnames.txt
	firstNames string
	//go:embed data/lastnames.txt
	lastNames string
	//go:embed data/cities.csv
	cities string
	//go:embed data/products.csv
	products string
)

// catalog makes up customers and orders from the bundled names and products. Equal
// seeds give equal shops.
type catalog struct {
	rng                   *rand.Rand
	firstNames, lastNames []string
	cities                [][]string // name, country
	products              [][]string // number, name, price in cents
}

func newCatalog(seed uint64) (*catalog, error) {
	c := &catalog{
		rng:        rand.New(rand.NewPCG(seed, 0)),
		firstNames: strings.Fields(firstNames),
		lastNames:  strings.Fields(lastNames),
	}
	var citiesErr, productsErr error
	c.cities, citiesErr = csv.NewReader(strings.NewReader(cities)).ReadAll()
	c.products, productsErr = csv.NewReader(strings.NewReader(products)).ReadAll()
	return c, errors.Join(citiesErr, productsErr)
}

// customer is the n-th customer at sign-up; one in four buys for a company.
func (c *catalog) customer(n int) replicator.Record {
	last := pick(c.rng, c.lastNames)
	city := pick(c.rng, c.cities)
	customer := replicator.Record{
		"id":      fmt.Sprintf("c-%05d", n),
		"name":    pick(c.rng, c.firstNames) + " " + last,
		"email":   c.email(n),
		"city":    city[0],
		"country": city[1],
		"segment": "private",
		"points":  int64(0),
	}
	if c.chance(25) {
		customer["segment"] = "business"
		customer["company"] = last + " " + pick(c.rng, []string{"& Co", "Design", "Logistics", "Software", "Studios"})
	}
	return customer
}

// email is an address of the n-th customer, a new one every time.
func (c *catalog) email(n int) string {
	return fmt.Sprintf("%s.%d@%s", pick(c.rng, []string{"hello", "info", "mail", "post"}), n*1000+c.rng.IntN(1000),
		pick(c.rng, []string{"example.com", "example.net", "example.org"}))
}

// order is the n-th order as it is placed.
func (c *catalog) order(n int, customer string) replicator.Record {
	var lines []any
	var cents int64
	for range 1 + c.rng.IntN(4) {
		product, quantity := pick(c.rng, c.products), int64(1+c.rng.IntN(3))
		price := replicator.Record{"cents": product[2]}.Int("cents")
		cents += price * quantity
		lines = append(lines, map[string]any{"product": product[0], "name": product[1], "quantity": quantity, "cents": price})
	}
	opening := time.Date(2026, time.January, 2, 8, 0, 0, 0, time.UTC)
	return replicator.Record{
		"id":       fmt.Sprintf("o-%06d", n),
		"customer": customer,
		"lines":    lines,
		"total":    float64(cents) / 100,
		"currency": "EUR",
		"status":   "placed",
		"placedAt": opening.Add(time.Duration(n)*7*time.Minute + time.Duration(c.rng.IntN(60_000))*time.Millisecond),
	}
}

// chance is true in so many of a hundred cases.
func (c *catalog) chance(percent int) bool { return c.rng.IntN(100) < percent }

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
