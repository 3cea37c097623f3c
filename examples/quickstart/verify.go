package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/s3db-go/replicator/store"
)

// maxFindings is how many faults of a kind are listed; more of them say no more.
const maxFindings = 5

// verify reads everything back: the shop must hold what the writers did, the backup
// what the shop holds, and the CRM what its routes make of that, change by change. It
// prints what it finds, and gives an error if there is a fault.
func verify(ctx context.Context, out io.Writer, dir string, crm *crm, work workload, done counts) error {
	inShop, shopErr := readStore(ctx, dir, "shop")
	inBackup, backupErr := readStore(ctx, dir, "backup")
	if err := errors.Join(shopErr, backupErr); err != nil {
		return err
	}
	inCRM, err := throughRoutes(inShop)
	if err != nil {
		return err
	}
	expected, err := work.deliveries(done)
	if err != nil {
		return err
	}
	changes, repeats, refused := crm.account()

	shop := compare(work.contents(done), withoutTimestamps(inShop))
	backup := compare(inShop, inBackup)
	records := compare(inCRM, latest(changes))
	history := retrace(expected, changes)

	fmt.Fprintf(out, "shop: %s\n", shop.ofWrites(done.total()))
	fmt.Fprintf(out, "backup: %v\n", backup)
	fmt.Fprintf(out, "crm: %v\n", records)
	fmt.Fprintf(out, "crm: %v; %s repeats, known by their webhook-id\n", history, thousands(repeats))
	table, err := verifyAnalytics(ctx, out, inShop)
	if err != nil {
		return err
	}
	return report(out, shop.findings, backup.findings, records.findings, history.findings, refused, table.findings)
}

// verifyAnalytics compares the reports' table, where there is one, with the shop.
func verifyAnalytics(ctx context.Context, out io.Writer, inShop contents) (verdict, error) {
	if analyticsURL() == "" {
		return verdict{}, nil
	}
	inTable, err := readAnalytics(ctx)
	if err != nil {
		return verdict{}, err
	}
	wanted, err := premiumOf(inShop)
	if err != nil {
		return verdict{}, err
	}
	table := compare(wanted, inTable)
	fmt.Fprintf(out, "analytics: %v\n", table)
	return table, nil
}

// report lists what was found, and gives an error if that is anything.
func report(out io.Writer, kinds ...[]string) error {
	faults := 0
	for _, findings := range kinds {
		faults += len(findings)
		for i, finding := range findings {
			if i == maxFindings {
				fmt.Fprintf(out, "  and %s more\n", thousands(len(findings)-i))
				break
			}
			fmt.Fprintf(out, "  %s\n", finding)
		}
	}
	if faults > 0 {
		return fmt.Errorf("faults found by reading back: %s", thousands(faults))
	}
	return nil
}

// readStore gives everything that a store on disk holds.
func readStore(ctx context.Context, dir, name string) (contents, error) {
	db, err := store.Open(ctx, fileURL(dir, name))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	found := contents{}
	for _, resource := range db.Resources() {
		for record, err := range db.Resource(resource).List(ctx) {
			if err != nil {
				return nil, err
			}
			found[key{resource, record.String("id")}] = record
		}
	}
	return found, nil
}
