package state

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	walrecord "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Names of the database's files.
const (
	logSuffix      = ".log"
	tableSuffix    = ".sst"
	manifestPrefix = "MANIFEST-"
	optionsPrefix  = "OPTIONS-"
	markerPrefix   = "marker."
	manifestMarker = "marker.manifest."
	formatMarker   = "marker.format-version."
)

// isStoreFile reports whether the database depends on a file of that name.
func isStoreFile(name string) bool {
	return strings.HasSuffix(name, logSuffix) || strings.HasSuffix(name, tableSuffix) ||
		hasAnyPrefix(name, manifestPrefix, optionsPrefix, markerPrefix)
}

func hasAnyPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// hasTables reports whether the store has tables. A store whose creation was interrupted has none.
func hasTables(names []string) bool { return anySuffix(names, tableSuffix) }

func anySuffix(names []string, suffix string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, suffix) })
}

func anyPrefix(names []string, prefix string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, prefix) })
}

// checkComplete refuses a store with missing files. The database would treat it as a new store and delete the tables.
// A store whose first start was interrupted is complete in this sense: the marker of the manifest is created before
// logs and tables, and a log before the options.
func (s *store) checkComplete(names []string) error {
	missing := func(what string) error { return fmt.Errorf("%w (%s missing)", ErrCorrupt, what) }
	logs, tables := anySuffix(names, logSuffix), hasTables(names)
	switch {
	case (logs || tables) && !anyPrefix(names, manifestMarker):
		return missing("the marker of its manifest is")
	case (tables || anyPrefix(names, optionsPrefix)) && !logs:
		return missing("its log is")
	case tables && !anyPrefix(names, formatMarker):
		return missing("the marker of its format is")
	}
	format, err := atomicfs.ReadMarker(s.disk, s.dir, "format-version")
	if err != nil {
		return err
	}
	if n, err := parseFormat(format); format != "" && (err != nil || n > uint64(pebble.FormatNewest)) {
		return fmt.Errorf("%w (the format %s of its files is unknown)", ErrNewer, format)
	}
	return nil
}

func parseFormat(text string) (n uint64, err error) {
	_, err = fmt.Sscanf(text, "%d", &n)
	return n, err
}

// checkLogEnd warns if the end of the log is unreadable. The database drops it: after a kill or a power failure it is
// a change that was not acknowledged. The database itself detects damage before the end.
func (s *store) checkLogEnd([]string) error {
	logs, err := wal.Scan(wal.Dir{FS: s.disk, Dirname: s.dir})
	if err != nil || len(logs) == 0 {
		return err
	}
	last := logs[len(logs)-1]
	reader := last.OpenForRead()
	defer reader.Close()
	for {
		_, at, err := reader.NextRecord()
		if err == nil {
			continue
		}
		if !walrecord.IsInvalidRecord(err) {
			return nil // the end of a closed or intact log; any other error is reported when the log is opened
		}
		dropped, err := s.contentAfter(at.PhysicalFile, at.Physical)
		if dropped > 0 {
			s.logger.Warn("the end of the store's log cannot be read and is dropped: after a kill or a loss of power "+
				"it is a change that was not acknowledged, otherwise the file was damaged",
				"file", at.PhysicalFile, "bytes", dropped)
		}
		return err
	}
}

// contentAfter returns how many bytes a file has after an offset, without zeros at its end.
func (s *store) contentAfter(name string, offset int64) (int, error) {
	f, err := s.disk.Open(name)
	if err != nil {
		return 0, err
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return len(strings.TrimRight(string(data[min(int(offset), len(data)):]), "\x00")), nil
}

// look fails if a file that a restart needs is missing.
func (s *store) look() error {
	tables, err := s.tables()
	if err != nil {
		return err
	}
	s.disk.mu.Lock()
	manifest, log := s.disk.manifest, s.disk.log
	s.disk.mu.Unlock()
	names, err := s.disk.List(s.dir)
	if isMissing(err) {
		return fmt.Errorf("%w (%w)", ErrRemoved, err)
	}
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, name := range names {
		have[name] = true
	}
	gone := func(name string) error { return fmt.Errorf("%w (%s)", ErrRemoved, name) }
	if !anyPrefix(names, manifestMarker) || !anyPrefix(names, formatMarker) {
		return gone(markerPrefix + "*")
	}
	if log != nil {
		if err := log.present(); err != nil && s.disk.isLog(log) { // otherwise another one has replaced it
			return err
		}
	}
	if name := s.disk.PathBase(manifest); !have[name] && s.disk.isManifest(manifest) {
		return gone(name)
	}
	missing := slices.DeleteFunc(tables, func(name string) bool { return have[name] })
	if len(missing) == 0 {
		return nil
	}
	// Files that have been replaced meanwhile may be missing.
	if tables, err = s.tables(); err != nil {
		return err
	}
	for _, name := range missing {
		if slices.Contains(tables, name) {
			return gone(name)
		}
	}
	return nil
}

// tables returns the names of the tables in use.
func (s *store) tables() ([]string, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, explain(err)
	}
	var names []string
	for _, level := range levels {
		for _, table := range level {
			names = append(names, table.BackingSSTNum.String()+tableSuffix)
		}
	}
	return names, nil
}
