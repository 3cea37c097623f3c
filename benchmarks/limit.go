package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"strconv"
	"sync"

	"github.com/s3db-go/replicator/internal/disk"
)

// limit is what bounds a journal that keeps what it is given: callers copy their bytes
// and a checksum into a buffer; one goroutine swaps it, writes it into a segment that
// was zero-filled ahead, flushes it, and wakes all of them at once. It does nothing
// else; it could not even read back what it wrote.
type limit struct {
	record  func(caller int) []byte
	fsys    disk.FS
	work    chan struct{} // holds a value while current is not empty
	running sync.WaitGroup
	mu      sync.Mutex // guards current
	current *limitGroup
}

type limitGroup struct {
	frames []byte
	done   chan struct{}
	err    error
}

// limitFile is a segment, or why there is none.
type limitFile struct {
	disk.File
	err error
}

func openLimit(dir string, record func(caller int) []byte) (session, error) {
	fsys, err := disk.OS(dir)
	if err != nil {
		return nil, err
	}
	l := &limit{record: record, fsys: fsys, work: make(chan struct{}, 1), current: &limitGroup{done: make(chan struct{})}}
	l.running.Go(l.write)
	return l, nil
}

func (l *limit) do(caller int) error {
	record := l.record(caller)
	var head [frameOverhead]byte
	binary.LittleEndian.PutUint32(head[:], crc32.Checksum(record, castagnoli))
	l.mu.Lock()
	g := l.current
	if len(g.frames) == 0 {
		l.work <- struct{}{}
	}
	g.frames = append(append(g.frames, head[:]...), record...)
	l.mu.Unlock()
	<-g.done
	return g.err
}

func (l *limit) write() {
	const size = 64 << 20
	files := make(chan limitFile, 1)
	prepare := func(n int) {
		f, err := l.fsys.OpenFile(strconv.Itoa(n), os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			err = errors.Join(disk.ZeroFill(f, 0, size), f.Sync(), l.fsys.SyncDir("."))
		}
		files <- limitFile{f, err}
	}
	prepare(0)
	file, n, at, spare := limitFile{}, 0, size, []byte(nil)
	for range l.work {
		l.mu.Lock()
		g := l.current
		l.current = &limitGroup{frames: spare[:0], done: make(chan struct{})}
		l.mu.Unlock()
		if at+len(g.frames) > size {
			file, n, at = <-files, n+1, 0
			l.running.Go(func() { prepare(n) })
		}
		if g.err = file.err; g.err == nil {
			_, err := file.WriteAt(g.frames, int64(at))
			g.err = errors.Join(err, file.Datasync())
		}
		at, spare = at+len(g.frames), g.frames
		close(g.done)
	}
}

func (l *limit) Close() error {
	close(l.work)
	l.running.Wait()
	return l.fsys.Close()
}
