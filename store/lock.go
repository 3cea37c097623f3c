package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// catalogueLockKey is where every writer of the format puts its lock on the catalogue.
// Others that are refused it give up after 300 ms, so it is held for no longer than it
// takes to read the catalogue and to write it.
const catalogueLockKey = "plugin=s3db-core/locks/namespace=metadata/s3db-metadata.json"

const (
	// lockTTL is the format's: a lock that is older belongs to a writer that is gone.
	lockTTL = 30 * time.Second
	// lockGrace is how long such a lock is kept on for others to take over.
	lockGrace = time.Minute
	// lockPatience is how long a lock is waited for: until one that was left behind has
	// run out, by a clock that may be some seconds off.
	lockPatience = lockTTL + 10*time.Second
	// lockPause is the mean pause between two looks at a lock that another holds.
	lockPause = 50 * time.Millisecond
)

// lockState is the content of a lock; times are milliseconds since 1970.
type lockState struct {
	LockID     string `json:"lockId"`
	HolderID   string `json:"holderId"`
	AcquiredAt int64  `json:"acquiredAt"`
	ExpiresAt  int64  `json:"expiresAt"`
	// DroppedAt is when the original removes the object on reading it.
	DroppedAt int64 `json:"_expiresAt"`
}

func newLock(now time.Time) lockState {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return lockState{
		LockID:     "lock-" + newID(idSize),
		HolderID:   "holder-" + host,
		AcquiredAt: now.UnixMilli(),
		ExpiresAt:  now.Add(lockTTL).UnixMilli(),
		DroppedAt:  now.Add(lockTTL + lockGrace).UnixMilli(),
	}
}

// lockCatalogue keeps all other writers of the format from changing the catalogue until
// unlock is called.
func lockCatalogue(ctx context.Context, b backend) (unlock func(), err error) {
	patience, cancel := context.WithTimeoutCause(ctx, lockPatience, errors.New("another writer keeps it"))
	defer cancel()
	for {
		l := newLock(time.Now())
		held, err := l.take(patience, b)
		if err != nil {
			l.release(context.WithoutCancel(ctx), b) // it may be there all the same
			return nil, fmt.Errorf("store: lock %s: %w", catalogueKey, err)
		}
		if held {
			return func() { l.release(context.WithoutCancel(ctx), b) }, nil
		}
		select {
		case <-time.After(lockPause/2 + rand.N(lockPause)):
		case <-patience.Done():
			return nil, fmt.Errorf("store: lock %s: %w", catalogueKey, context.Cause(patience))
		}
	}
}

// take tries once to put the lock where there is none, or where one has run out.
func (l lockState) take(ctx context.Context, b backend) (held bool, err error) {
	body, err := json.Marshal(l)
	if err != nil {
		return false, err
	}
	mine := &object{body: body, contentType: jsonContent}
	err = b.swap(ctx, catalogueLockKey, mine, noTag)
	if !errors.Is(err, errChanged) {
		return err == nil, err
	}
	there, tag, err := readLock(ctx, b)
	if err != nil || tag == noTag || there.ExpiresAt > time.Now().UnixMilli() {
		return false, err
	}
	err = b.swap(ctx, catalogueLockKey, mine, tag)
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

// release removes the lock if it is still ours. One that can't be removed runs out by
// itself.
func (l lockState) release(ctx context.Context, b backend) {
	if there, tag, err := readLock(ctx, b); err == nil && there.LockID == l.LockID {
		_ = b.swap(ctx, catalogueLockKey, nil, tag)
	}
}

// readLock gives the lock that is there, or noTag if there is none. What can't be read
// as a lock has run out: nobody could ever release it.
func readLock(ctx context.Context, b backend) (lockState, string, error) {
	o, err := b.get(ctx, catalogueLockKey)
	if errors.Is(err, errAbsent) {
		return lockState{}, noTag, nil
	}
	if err != nil {
		return lockState{}, noTag, err
	}
	var l lockState
	if json.Unmarshal(o.body, &l) != nil {
		l = lockState{}
	}
	return l, o.tag, nil
}
