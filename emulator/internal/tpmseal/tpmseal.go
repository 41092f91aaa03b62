// Package tpmseal encrypts a key so that only one TPM 2.0 can use it. DPS uses this as the challenge by which a
// device proves that its TPM holds the endorsement key, and to send the key of its hub identity.
//
// It does not access a TPM; it needs the public parts of two of its keys. The layout is the one that Azure's device
// SDKs parse (ActivateIdentityKey in azure-iot-sdk-c and azure-iot-sdk-csharp); the cryptography is that of the TPM
// 2.0 library specification, part 1, "Credential Protection" and "Duplication".
package tpmseal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/google/go-tpm/tpm2"
)

// wrapKeyBytes is the size of the AES-128 key that the TPM's credential activation returns.
const wrapKeyBytes = 16

// maxKey is the largest HMAC-SHA-256 key that a TPM imports, in bytes.
const maxKey = sha256.BlockSize

// Public is the public part of a storage key in a TPM: its endorsement key or its storage root key.
type Public struct {
	key  tpm2.LabeledEncapsulationKey
	name []byte
}

// ParsePublic parses the base64 of a TPM2B_PUBLIC.
func ParsePublic(text string) (Public, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Public{}, errors.New("not base64")
	}
	wrapped, err := tpm2.Unmarshal[tpm2.TPM2BPublic](raw)
	if err != nil {
		return Public{}, errors.New("not a TPM2B_PUBLIC")
	}
	area, err := wrapped.Contents()
	if err != nil {
		return Public{}, errors.New("not a TPM2B_PUBLIC")
	}
	key, err := tpm2.ImportEncapsulationKey(area)
	if err != nil {
		return Public{}, fmt.Errorf("not a key to encrypt to: %w", err)
	}
	name, err := tpm2.ObjectName(area)
	if err != nil {
		return Public{}, fmt.Errorf("has no name: %w", err)
	}
	return Public{key, name.Buffer}, nil
}

// Seal encrypts an HMAC-SHA-256 key of up to 64 bytes for the TPM that holds both keys. info is encrypted with it.
func Seal(endorsement, storageRoot Public, key []byte, info string) ([]byte, error) {
	if len(key) == 0 || len(key) > maxKey {
		return nil, fmt.Errorf("key has %d bytes, want 1 to %d", len(key), maxKey)
	}
	var wrapKey [wrapKeyBytes]byte
	var obfuscation [sha256.Size]byte
	_, _ = rand.Read(wrapKey[:]) // documented never to fail
	_, _ = rand.Read(obfuscation[:])

	// Only a TPM with both this endorsement key and this storage root key can decrypt the wrapping key.
	identity, secret, err := tpm2.CreateCredential(rand.Reader, endorsement.key, storageRoot.name, wrapKey[:])
	if err != nil {
		return nil, fmt.Errorf("encrypt to the endorsement key: %w", err)
	}
	public := hmacKey(obfuscation[:], key)
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return nil, fmt.Errorf("name the key: %w", err)
	}
	duplicate, seed, err := storageRoot.duplicate(name.Buffer,
		inner(wrapKey[:], name.Buffer, sensitive(obfuscation[:], key)))
	if err != nil {
		return nil, fmt.Errorf("encrypt to the storage root key: %w", err)
	}
	var out []byte
	out = append(out, tpm2.Marshal(tpm2.TPM2BIDObject{Buffer: identity})...)
	out = append(out, tpm2.Marshal(tpm2.TPM2BEncryptedSecret{Buffer: secret})...)
	out = append(out, tpm2.Marshal(tpm2.TPM2BPrivate{Buffer: duplicate})...)
	out = append(out, tpm2.Marshal(tpm2.TPM2BEncryptedSecret{Buffer: seed})...)
	out = append(out, tpm2.Marshal(tpm2.New2B(public))...)
	return append(out, tpm2.Marshal(tpm2.TPM2BData{Buffer: crypt(wrapKey[:], utf16le(info))})...), nil
}

// hmacKey is the public area of the key: for HMAC-SHA-256 only, and not fixed to a TPM, so that it can be imported.
func hmacKey(obfuscation, key []byte) tpm2.TPMTPublic {
	unique := sha256.New()
	unique.Write(obfuscation)
	unique.Write(key)
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{SignEncrypt: true, UserWithAuth: true, NoDA: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash,
			&tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{
				Scheme:  tpm2.TPMAlgHMAC,
				Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
			}}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique.Sum(nil)}),
	}
}

// sensitive is the TPM2B_SENSITIVE of the key.
func sensitive(obfuscation, key []byte) []byte {
	return tpm2.Marshal(tpm2.TPM2BData{Buffer: tpm2.Marshal(tpm2.TPMTSensitive{
		SensitiveType: tpm2.TPMAlgKeyedHash,
		SeedValue:     tpm2.TPM2BDigest{Buffer: obfuscation},
		Sensitive:     tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BSensitiveData{Buffer: key}),
	})})
}

// inner is the inner duplication wrapper, under the wrapping key.
func inner(wrapKey, name, sensitive []byte) []byte {
	integrity := sha256.New()
	integrity.Write(sensitive)
	integrity.Write(name)
	return crypt(wrapKey, append(tpm2.Marshal(tpm2.TPM2BDigest{Buffer: integrity.Sum(nil)}), sensitive...))
}

// duplicate is the outer duplication wrapper around wrapped, and the seed of its keys encrypted to p.
func (p Public) duplicate(name, wrapped []byte) (duplicate, seed []byte, err error) {
	hash, err := p.key.NameAlg().Hash()
	if err != nil {
		return nil, nil, err
	}
	bits, err := p.key.SymmetricParameters().KeyBits.AES()
	if err != nil {
		return nil, nil, err
	}
	secret, seed, err := p.key.Encapsulate(rand.Reader, "DUPLICATE")
	if err != nil {
		return nil, nil, err
	}
	ciphertext := crypt(tpm2.KDFa(hash, secret, "STORAGE", name, nil, int(*bits)), wrapped)
	mac := hmac.New(hash.New, tpm2.KDFa(hash, secret, "INTEGRITY", nil, nil, hash.Size()*8))
	mac.Write(ciphertext)
	mac.Write(name)
	return append(tpm2.Marshal(tpm2.TPM2BDigest{Buffer: mac.Sum(nil)}), ciphertext...), seed, nil
}

// crypt is AES-CFB with an initial vector of zeros, as TPMs use to protect exported data. The key always has a valid
// size.
func crypt(key, plain []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(plain))
	//lint:ignore SA1019 the TPM specification demands this mode; what it encrypts is authenticated beside it
	cipher.NewCFBEncrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(out, plain)
	return out
}

// utf16le converts to UTF-16, the encoding of info that the SDKs expect.
func utf16le(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}
