package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/drivers/drivertest"
	"github.com/s3db-go/replicator/drivers/postgres"
	"github.com/s3db-go/replicator/internal/testbed"
)

func TestContract(t *testing.T) {
	drivertest.Run(t, harness)
}

func harness(t *testing.T) drivertest.Harness {
	direct := testbed.Postgres(t)
	through, proxy := proxied(t, direct, "canary-of-a-password")
	h := drivertest.Harness{
		Driver:  postgres.New(postgres.Options{ConnectionString: through}),
		Records: func(t *testing.T, target string) []cdc.Record { return read(t, direct, target) },
		Want:    stored,
		Bad:     func(r cdc.Record) { r["name"] = "canary-of-a-row \x00" },
		Secret:  "canary-of-a-password",
		Invalid: []drivertest.Invalid{
			{Driver: postgres.New(postgres.Options{}), Fields: []string{"ConnectionString"}},
			{Driver: postgres.New(postgres.Options{ConnectionString: "postgres://app:canary-of-a-password%zz@db/x"}), Fields: []string{"ConnectionString"}},
			{Driver: postgres.New(postgres.Options{
				ConnectionString: "host=db",
				Tables:           map[string]postgres.Table{"a.b.c": {}, "d": {Mode: 9}},
				SchemaSync:       postgres.SchemaSync{Strategy: 9, OnMismatch: 9, DropRows: true},
			}), Fields: []string{"Tables", "Mode", "Strategy", "OnMismatch", "DropRows"}},
		},
	}
	h.Break = func() func() {
		resume := proxy.Refuse()
		proxy.Reset()
		return resume
	}
	h.Stall = func() (<-chan struct{}, func()) { return proxy.Hold() }
	return h
}

// proxied gives a connection string that goes through a proxy, with a password that the
// server does not ask for.
func proxied(t *testing.T, direct, password string) (string, *testbed.Proxy) {
	t.Helper()
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	network, addr := pgxAddr(config)
	proxy := testbed.NewProxy(t, network, addr)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, password), Host: proxy.Addr().String(), Path: "/" + config.Database,
		RawQuery: "sslmode=disable",
	}
	return u.String(), proxy
}

func pgxAddr(config *pgx.ConnConfig) (network, addr string) {
	if strings.HasPrefix(config.Host, "/") {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	return "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn.Close(ctx)
	})
	return conn
}

// exec runs statements that set the scene.
func exec(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// read gives a table's rows, without what is NULL and what the driver keeps for itself.
// A table that is not there has none.
func read(t *testing.T, url, target string) []cdc.Record {
	t.Helper()
	return readName(t, url, pgx.Identifier(strings.Split(target, ".")).Sanitize())
}

// readName does it for a name that is quoted already.
func readName(t *testing.T, url, name string) []cdc.Record {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(t.Context())
	var there bool
	if err := conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || !there {
		return nil
	}
	rows, err := conn.Query(t.Context(), "SELECT * FROM "+name)
	if err != nil {
		t.Fatal(err)
	}
	var out []cdc.Record
	for rows.Next() {
		r := cdc.Record{}
		for i, f := range rows.FieldDescriptions() {
			raw := rows.RawValues()[i]
			if raw == nil || strings.HasPrefix(f.Name, "_") {
				continue
			}
			r[f.Name] = decode(t, conn, f.DataTypeOID, f.Format, raw)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func decode(t *testing.T, conn *pgx.Conn, oid uint32, format int16, raw []byte) any {
	t.Helper()
	var v any
	switch oid {
	case pgtype.JSONBOID, pgtype.JSONOID:
		var text string
		if err := conn.TypeMap().Scan(oid, format, raw, &text); err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
	case pgtype.NumericOID, pgtype.UUIDOID, pgtype.InetOID, pgtype.TimeOID:
		var text pgtype.Text
		if err := conn.TypeMap().Scan(oid, format, raw, &text); err != nil {
			t.Fatal(err)
		}
		if oid != pgtype.NumericOID {
			return text.String
		}
		d, err := cdc.ParseDecimal(text.String)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case pgtype.DateOID:
		var day time.Time
		if err := conn.TypeMap().Scan(oid, format, raw, &day); err != nil {
			t.Fatal(err)
		}
		return day.Format(time.DateOnly)
	default:
		typ, ok := conn.TypeMap().TypeForOID(oid)
		if !ok {
			return string(raw)
		}
		var err error
		if v, err = typ.Codec.DecodeValue(conn.TypeMap(), oid, format, raw); err != nil {
			t.Fatal(err)
		}
	}
	n, err := cdc.NormalizeValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stored gives what a value becomes: in JSON, there are only exact numbers.
func stored(v any) any {
	switch v := v.(type) {
	case nil:
		return drivertest.Absent{}
	case []any, map[string]any:
		return inJSON(v)
	}
	return v
}

func inJSON(v any) any {
	switch v := v.(type) {
	case float64:
		d, _ := cdc.ParseDecimal(fmt.Sprint(v))
		return d
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = inJSON(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = inJSON(v[k])
		}
		return out
	}
	return v
}
