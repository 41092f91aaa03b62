package entry

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
)

// A generated key has the form of the service's own, 64 bytes in base64: its first half is random, its second half a
// MAC of the resource's URN under the first half. So the entry itself shows whether this resource created it, after a
// lost answer or a killed engine, without a secret that would have to survive: only clients that can read the key know
// its 256 random bits. See ADR 6.
const (
	randomBytes = 32
	keyDomain   = "azure-dps enrollment key v1"
)

// The two keys of a pair, as the MAC names them.
const (
	primarySlot   = "primary"
	secondarySlot = "secondary"
)

// makeKey generates a key for one slot of the resource named urn.
func makeKey(urn, slot string) (string, error) {
	raw := make([]byte, randomBytes, sas.GeneratedKeyBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("generate a key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(append(raw, keyMark(raw, urn, slot)...)), nil
}

// isGeneratedFor reports whether the key was made by makeKey for the same slot of the same resource.
func isGeneratedFor(key, urn, slot string) bool {
	raw, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(raw) == sas.GeneratedKeyBytes &&
		hmac.Equal(raw[randomBytes:], keyMark(raw[:randomBytes], urn, slot))
}

func keyMark(random []byte, urn, slot string) []byte {
	mac := hmac.New(sha256.New, random)
	mac.Write([]byte(keyDomain + "\n" + slot + "\n" + urn))
	return mac.Sum(nil)
}

// CompleteKeys returns the given keys, and generates those that are absent.
func CompleteKeys(given dpsservice.SymmetricKey, urn string) (dpsservice.SymmetricKey, error) {
	var err error
	if given.PrimaryKey == "" {
		if given.PrimaryKey, err = makeKey(urn, primarySlot); err != nil {
			return given, err
		}
	}
	if given.SecondaryKey == "" {
		given.SecondaryKey, err = makeKey(urn, secondarySlot)
	}
	return given, err
}

// areOurs reports whether the keys of an entry show that the resource named urn created it: it has each key that the
// program gives, and each other one was generated for this resource.
func areOurs(held, given dpsservice.SymmetricKey, urn string) bool {
	return isOurs(held.PrimaryKey, given.PrimaryKey, urn, primarySlot) && isOurs(held.SecondaryKey, given.SecondaryKey,
		urn, secondarySlot)
}

func isOurs(held, given, urn, slot string) bool {
	if given != "" {
		return held == given
	}
	return isGeneratedFor(held, urn, slot)
}

// CleanKey removes line breaks from a key that a program or a user gives.
func CleanKey(key **string) {
	if *key == nil {
		return
	}
	if clean := enrollment.CleanKey(**key); clean != **key {
		*key = &clean
	}
}

// cleanKeys removes line breaks from the keys of an enrollment's inputs.
func (s *Settings) cleanKeys() {
	if s.Attestation == nil {
		return
	}
	if k := s.Attestation.SymmetricKey; k != nil {
		CleanKey(&k.PrimaryKey)
		CleanKey(&k.SecondaryKey)
	}
	if t := s.Attestation.TPM; t != nil {
		t.EndorsementKey = enrollment.CleanKey(t.EndorsementKey)
		CleanKey(&t.StorageRootKey)
	}
}
