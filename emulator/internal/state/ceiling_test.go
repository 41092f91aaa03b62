package state

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
)

// CommitCeiling measures only the store: how long callers need together for n synced commits of one row of size bytes
// each, in a new store in dir. Benchmarks compare the state with it.
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
