package journal

// Behind implements [Journal].
func (d *Disk) Behind(low uint64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return behind(d.segments, d.durable, low)
}

// behind gives the bytes of the segments in which the changes after low are. In the
// segment in which they begin, changes count as of equal size.
func behind(segments []segment, last, low uint64) (bytes int64) {
	if low >= last {
		return 0
	}
	next := last + 1
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		switch {
		case s.first > low:
			bytes += s.end
		case next > s.first:
			return bytes + int64(float64(s.end)*float64(next-1-low)/float64(next-s.first))
		}
		next = s.first
	}
	return bytes
}

// Behind implements [Journal].
func (m *Memory) Behind(low uint64) (bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held := uint64(len(m.tail.held())); held > 0 && low < m.last {
		return int64(float64(m.tail.bytes) * float64(min(m.last-low, held)) / float64(held))
	}
	return 0
}
