package ledger_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/ledger"
)

// sound gives the bytes of a log that has pages of every kind: rows of several groups
// in trees of several levels, one row longer than a page, and free pages.
func sound(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.db")
	l := open(t, path)
	for n := range 150 {
		r := row(n)
		r.Target = fmt.Sprint("target", n%3)
		r.Error = strings.Repeat("no such column ", 10)
		put(t, l, r, row(1000+n))
	}
	long := row(3000)
	long.Change.Data = cdc.Record{"blob": bytes.Repeat([]byte{1}, 10_000)}
	put(t, l, long)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// use does everything with a log and gives the first error.
func use(path string) (err error) {
	l, err := ledger.Open(path)
	if err != nil {
		return err
	}
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	for range 2 {
		for _, e := range l.Rows(ledger.Query{}) {
			note(e)
		}
		for _, q := range []ledger.Query{{Target: "target1"}, {Until: start}, {RecordID: "u7"}, {Status: ledger.Replicated}} {
			_, e := l.Count(q)
			note(e)
		}
		note(l.Put(row(0), row(70), row(140), row(5000)))
	}
	note(l.Close())
	return err
}

// wantClear writes the bytes as a log, uses it, and judges the error if there is one.
func wantClear(t *testing.T, what string, path string, data []byte) (told bool) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	err := use(path)
	if err == nil {
		return false
	}
	if want := "ledger: " + path + " is damaged: "; !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "move it away") {
		t.Fatalf("%s: error %q, want one that begins with %q and says what to do", what, err, want)
	}
	return true
}

// TestDamageIsAnError flips bytes all over the file, one at a time and many. Most of
// what is flipped is told; what is not leaves the log usable.
func TestDamageIsAnError(t *testing.T) {
	data := sound(t)
	path := filepath.Join(t.TempDir(), "log.db")
	if wantClear(t, "nothing", path, data) {
		t.Fatal("a sound log is told to be damaged")
	}
	// A prime, so that every place of a page and of its elements is met.
	const step = 331
	trials, told := 0, 0
	for i, mask := 0, byte(1); i < len(data); i, mask = i+step, mask*2|mask>>7 {
		bad := bytes.Clone(data)
		bad[i] ^= mask
		trials++
		if wantClear(t, fmt.Sprintf("byte %d ^ %#x", i, mask), path, bad) {
			told++
		}
	}
	t.Logf("%d of %d single flips were told", told, trials)
	for _, from := range []int{0, 4096, 8192} {
		for every := range 8 {
			bad := bytes.Clone(data)
			for i := from + every; i < len(bad); i += 3 + 500*every {
				bad[i] ^= 0x5a
			}
			if !wantClear(t, fmt.Sprintf("each %d. byte from %d", 3+500*every, from), path, bad) {
				t.Errorf("each %d. byte from %d: not told", 3+500*every, from)
			}
		}
	}
}

// TestDamageInHeaders flips bits of the header and of the first element of every page:
// what bbolt finds its way by.
func TestDamageInHeaders(t *testing.T) {
	data := sound(t)
	path := filepath.Join(t.TempDir(), "log.db")
	size := os.Getpagesize()
	trials, told := 0, 0
	for page := 2 * size; page < len(data); page += size {
		for i := page + page/size%5; i < page+32; i += 5 { // all bytes, on one page or another
			bad := bytes.Clone(data)
			bad[i] ^= 1 << (trials % 8)
			trials++
			if wantClear(t, fmt.Sprintf("page %d, byte %d", page/size, i-page), path, bad) {
				told++
			}
		}
	}
	if told == 0 || told == trials {
		t.Errorf("%d of %d were told", told, trials) // free pages don't matter
	}
}

func TestATruncatedFileIsAnError(t *testing.T) {
	data := sound(t)
	path := filepath.Join(t.TempDir(), "log.db")
	for _, keep := range []int{1, 100, 4095, 4096, 8191, 8192, 12288, len(data) / 2, len(data)/2 + 100} {
		if !wantClear(t, fmt.Sprintf("%d bytes are left", keep), path, data[:keep]) {
			t.Errorf("%d bytes are left: not told", keep)
		}
	}
}

// pages gives where the pages of a kind begin.
func pages(data []byte, kind uint16) (at []int) {
	size := os.Getpagesize()
	for page := 2 * size; page < len(data); page += size {
		if binary.NativeEndian.Uint16(data[page+8:]) == kind && binary.NativeEndian.Uint16(data[page+10:]) > 0 {
			at = append(at, page)
		}
	}
	return at
}

// TestOpenFindsWhatWouldDoHarm: what makes bbolt run out of stack, which ends the
// process, or write over pages that are in use, is found before it does. Pages that are
// not in use any more may be damaged as they like.
func TestOpenFindsWhatWouldDoHarm(t *testing.T) {
	const branch, leaf, free = 1, 2, 16
	const header, element = 16, 16
	data := sound(t)
	size := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "log.db")
	refused := func(at int, change func(page []byte)) bool {
		bad := bytes.Clone(data)
		change(bad[at:])
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(path)
		if err == nil {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			return false
		}
		return strings.Contains(err.Error(), "is damaged: page ")
	}
	uint64At, uint16At := binary.NativeEndian.Uint64, binary.NativeEndian.Uint16

	// The pages in use: those that can't say that they are another.
	used := map[uint64]bool{}
	for _, kind := range []uint16{branch, leaf} {
		for _, page := range pages(data, kind) {
			if refused(page, func(p []byte) { binary.NativeEndian.PutUint64(p, 1<<20) }) {
				used[uint64(page/size)] = true
			}
		}
	}
	branches, leaves := 0, 0
	for _, page := range pages(data, branch) {
		if !used[uint64(page/size)] {
			continue
		}
		branches++
		for i := range int(uint16At(data[page+10:])) {
			at := header + element*i + 8
			child := uint64At(data[page+at:])
			if !refused(page, func(p []byte) { binary.NativeEndian.PutUint64(p[at:], uint64(page/size)) }) {
				t.Errorf("page %d leads to itself: not told", page/size)
			}
			below := int(child) * size
			if uint16At(data[below+8:]) != leaf {
				continue
			}
			leaves++
			// bbolt looks for a page in the one above it by its first key.
			key := header + int(binary.NativeEndian.Uint32(data[below+header+4:]))
			last := key + int(binary.NativeEndian.Uint32(data[below+header+8:])) - 1
			if !refused(below, func(p []byte) { p[last]++ }) {
				t.Errorf("page %d begins with another key than above it: not told", child)
			}
		}
	}
	lists := 0
	for _, page := range pages(data, free) {
		n := int(uint16At(data[page+10:]))
		var one uint64
		for one = range used {
			break
		}
		if refused(page, func(p []byte) {
			binary.NativeEndian.PutUint16(p[10:], uint16(n+1))
			binary.NativeEndian.PutUint64(p[header+8*n:], one)
		}) {
			lists++
		}
	}
	if len(used) < 10 || branches == 0 || leaves < 5 || lists != 1 {
		t.Errorf("%d pages in use, %d of branches over %d leaves, %d lists of free pages that were judged; want one list", len(used), branches, leaves, lists)
	}
}

// TestDamageWhileItIsOpen: the file is changed under an open log.
func TestDamageWhileItIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	data := sound(t)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	for _, err := range l.Rows(ledger.Query{}) {
		if err == nil || !strings.HasPrefix(err.Error(), "ledger: "+path+" is damaged: ") {
			t.Errorf("Rows gives %v", err)
		}
	}
	if err := l.Put(row(1)); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("Put gives %v", err)
	}
	if _, err := l.Count(ledger.Query{}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("Count gives %v", err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	// The way out works in the same process.
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	put(t, open(t, path), row(1))
}

// TestNoFalseAlarm: whatever is put and replaced, the log can be opened again.
func TestNoFalseAlarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		l := open(t, path)
		var rows []ledger.Row
		for range 1 + random.IntN(400) {
			r := row(random.IntN(3000))
			r.Time = start.Add(time.Duration(random.IntN(1 << 40)))
			r.Target = fmt.Sprint("target", random.IntN(3))
			r.Error = strings.Repeat("x", random.IntN(300))
			if random.IntN(50) == 0 {
				r.Change.Data = cdc.Record{"blob": bytes.Repeat([]byte{1}, random.IntN(20_000))}
			}
			rows = append(rows, r)
		}
		put(t, l, rows...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "log.db")
	l := open(b, path)
	for n := range 100 {
		var rows []ledger.Row
		for i := range 1000 {
			rows = append(rows, row(n*1000+i))
		}
		put(b, l, rows...)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		l, err := ledger.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
