package tpmseal_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"evenkeel/emulator/internal/tpmseal"
	"evenkeel/emulator/internal/tpmseal/softkeys"
)

func TestOnlyTheRightKeysOpenASealedBlob(t *testing.T) {
	t.Parallel()
	mine, other := newKeys(t), newKeys(t)
	for _, key := range [][]byte{[]byte("k"), bytes.Repeat([]byte("0123456789abcdef"), 2),
		bytes.Repeat([]byte("0123456789abcdef"), 4)} {
		blob, err := tpmseal.Seal(public(t, mine.Endorsement), public(t, mine.StorageRoot), key,
			"scope/registrations/a")
		if err != nil {
			t.Fatal(err)
		}
		opened, info, err := mine.Open(blob)
		if err != nil || !bytes.Equal(opened, key) || info != "scope/registrations/a" {
			t.Errorf("got %x, %q, %v, want the key and the information", opened, info, err)
		}
		if opened, _, err := other.Open(blob); err == nil {
			t.Errorf("another TPM opened it: %x", opened)
		}
		blob[20] ^= 1
		if _, _, err := mine.Open(blob); err == nil {
			t.Error("a changed blob was opened")
		}
	}
	if _, err := tpmseal.Seal(public(t, mine.Endorsement), public(t, mine.StorageRoot), make([]byte, 65),
		""); err == nil {
		t.Error("a key of 65 bytes was sealed; a TPM does not import it")
	}
}

func TestInvalidPublicKeys(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "?", "AAAA", base64.StdEncoding.EncodeToString(make([]byte, 300))} {
		t.Run(fmt.Sprintf("%.60q", text), func(t *testing.T) {
			if _, err := tpmseal.ParsePublic(text); err == nil {
				t.Errorf("%q was taken for a key", text)
			}
		})
	}
}

func newKeys(t *testing.T) *softkeys.TPM {
	t.Helper()
	keys, err := softkeys.New()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func public(t *testing.T, text string) tpmseal.Public {
	t.Helper()
	p, err := tpmseal.ParsePublic(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
