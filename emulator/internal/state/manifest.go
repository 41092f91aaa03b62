package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Layout of the database's manifest: chunks of checksum (4 bytes), length (2), type (1 to 4) and payload, none across a block's end
// (pebble/record, the legacy wire format; tried with format major version FormatWALSyncChunks).
const (
	manifestBlock  = 32 << 10
	manifestHeader = 7
)

// checkManifest refuses a store whose manifest is damaged. The database itself takes a damaged chunk for the end of the manifest, as
// after a torn write, and then deletes the tables that the lost part named; so it must not see one. A last chunk that is cut short is
// left to it.
func checkManifest(files vfs.FS, dir string) error {
	found, err := pebble.Peek(dir, files)
	if err != nil || !found.Exists || found.ManifestFilename == "" {
		return err
	}
	f, err := files.Open(found.ManifestFilename)
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
		if kind := chunk[6]; end > left || kind < 1 || kind > 4 || binary.LittleEndian.Uint32(chunk) != checksum(chunk[6:end]) {
			return fmt.Errorf("%w (its manifest, at byte %d)", ErrCorrupt, at)
		}
		at += end
	}
	return nil
}

// checksum is LevelDB's masked CRC-32C.
func checksum(data []byte) uint32 {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// hasTables reports whether dir holds rows written long ago; a store that was never finished holds none.
func hasTables(files vfs.FS, dir string) (bool, error) {
	names, err := files.List(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			return true, nil
		}
	}
	return false, nil
}
