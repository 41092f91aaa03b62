package state

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
)

// CommitCeiling measures the store alone: how long callers together take for n synced commits of one row of size bytes
// each, in a new store in dir. Benchmarks put what the state reaches beside it.
func CommitCeiling(dir string, callers, n, size int) (time.Duration, error) {
	st, err := openStore(dir, vfs.Default, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	value := make([]byte, size)
	var next atomic.Int64
	var group errgroup.Group
	start := time.Now()
	for range callers {
		group.Go(func() error {
			for {
				i := next.Add(1)
				if i > int64(n) {
					return nil
				}
				b := st.batch()
				if err := b.Set(keyOf(tableMeta, fmt.Sprint(i)), value, nil); err != nil {
					return err
				}
				if err := st.commit(b); err != nil {
					return err
				}
			}
		})
	}
	err = group.Wait()
	took := time.Since(start)
	if closing := st.close(); err == nil {
		err = closing
	}
	return took, err
}
