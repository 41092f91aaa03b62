package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
)

// Layout of the database's manifest: chunks of checksum (4 bytes), length (2), type (1 to 4) and payload, none of
// them across the end of a block (pebble/record, the legacy wire format; checked with format major version
// FormatWALSyncChunks).
const (
	manifestBlock  = 32 << 10
	manifestHeader = 7
)

// checkManifest refuses a store whose manifest is damaged. The database itself treats a damaged chunk as the end of
// the manifest, as after a torn write, and then deletes the tables that the lost part named. So it must never read
// one. A truncated last chunk is left to the database.
func (s *store) checkManifest([]string) error {
	found, err := pebble.Peek(s.dir, s.disk)
	if err != nil || !found.Exists {
		return err
	}
	f, err := s.disk.Open(found.ManifestFilename)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (its manifest is missing)", ErrCorrupt)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	for at := 0; at < len(data); {
		left := manifestBlock - at%manifestBlock
		if left < manifestHeader {
			at += left
			continue
		}
		chunk := data[at:]
		if len(chunk) < manifestHeader || len(bytes.TrimLeft(chunk, "\x00")) == 0 {
			return nil
		}
		end := manifestHeader + int(binary.LittleEndian.Uint16(chunk[4:]))
		if end <= left && end > len(chunk) {
			return nil
		}
		if kind := chunk[6]; end > left || kind < 1 || kind > 4 ||
			binary.LittleEndian.Uint32(chunk) != checksum(chunk[6:end]) {
			return fmt.Errorf("%w (its manifest, at byte %d)", ErrCorrupt, at)
		}
		at += end
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is LevelDB's masked CRC-32C.
func checksum(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}
