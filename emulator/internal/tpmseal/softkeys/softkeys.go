// Package softkeys implements, for tests, the part of a TPM 2.0 that they need: an endorsement key, a storage root
// key, and opening what was sealed to them. It is written from the TPM 2.0 library specification independently of the
// sealing, and protects nothing.
package softkeys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/google/go-tpm/tpm2"
)

// TPM holds two RSA-2048 keys.
type TPM struct {
	// Endorsement and StorageRoot are the public parts, base64 of TPM2B_PUBLIC.
	Endorsement, StorageRoot string

	endorsement, storageRoot *rsa.PrivateKey
	rootName                 []byte
}

// New generates both keys from the TCG's reference templates.
func New() (*TPM, error) {
	t := &TPM{}
	var err error
	if t.endorsement, t.Endorsement, _, err = generate(tpm2.RSAEKTemplate); err != nil {
		return nil, err
	}
	t.storageRoot, t.StorageRoot, t.rootName, err = generate(tpm2.RSASRKTemplate)
	return t, err
}

func generate(template tpm2.TPMTPublic) (*rsa.PrivateKey, string, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, "", nil, err
	}
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	name, err := tpm2.ObjectName(&template)
	if err != nil {
		return nil, "", nil, err
	}
	return key, base64.StdEncoding.EncodeToString(tpm2.Marshal(tpm2.New2B(template))), name.Buffer, nil
}

// Open returns the key in a sealed blob, and its info.
func (t *TPM) Open(blob []byte) (key []byte, info string, err error) {
	var parts [6][]byte
	for i := range parts {
		if parts[i], blob, err = sized(blob); err != nil {
			return nil, "", err
		}
	}
	wrapKey, err := t.activate(parts[0], parts[1])
	if err != nil {
		return nil, "", fmt.Errorf("activate the credential: %w", err)
	}
	if key, err = t.load(wrapKey, parts[2], parts[3], parts[4]); err != nil {
		return nil, "", fmt.Errorf("import the key: %w", err)
	}
	wide := decrypt(wrapKey, parts[5])
	units := make([]uint16, len(wide)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(wide[2*i:])
	}
	return key, string(utf16.Decode(units)), nil
}

// activate is TPM2_ActivateCredential.
func (t *TPM) activate(identity, secret []byte) ([]byte, error) {
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, t.endorsement, secret, []byte("IDENTITY\x00"))
	if err != nil {
		return nil, err
	}
	plain, err := unwrap(seed, identity, t.rootName)
	if err != nil {
		return nil, err
	}
	wrapKey, _, err := sized(plain)
	return wrapKey, err
}

// load is TPM2_Import and TPM2_Load.
func (t *TPM) load(wrapKey, duplicate, encryptedSeed, public []byte) ([]byte, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(area)
	if err != nil {
		return nil, err
	}
	seed, err := rsa.DecryptOAEP(sha256.New(), nil, t.storageRoot, encryptedSeed, []byte("DUPLICATE\x00"))
	if err != nil {
		return nil, err
	}
	wrapped, err := unwrap(seed, duplicate, name.Buffer)
	if err != nil {
		return nil, err
	}
	integrity, sensitive, err := sized(decrypt(wrapKey, wrapped))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(append(bytes.Clone(sensitive), name.Buffer...)); !bytes.Equal(sum[:], integrity) {
		return nil, errors.New("the inner integrity is wrong")
	}
	inside, _, err := sized(sensitive)
	if err != nil {
		return nil, err
	}
	private, err := tpm2.Unmarshal[tpm2.TPMTSensitive](inside)
	if err != nil {
		return nil, err
	}
	bits, err := private.Sensitive.Bits()
	if err != nil {
		return nil, err
	}
	unique, err := area.Unique.KeyedHash()
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(append(bytes.Clone(private.SeedValue.Buffer), bits.Buffer...)); !bytes.Equal(sum[:],
		unique.Buffer) {
		return nil, errors.New("the private part does not belong to the public one")
	}
	return bits.Buffer, nil
}

// unwrap checks and opens what a seed protects.
func unwrap(seed, blob, name []byte) ([]byte, error) {
	tag, ciphertext, err := sized(blob)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, derive(seed, "INTEGRITY", nil, 256))
	mac.Write(ciphertext)
	mac.Write(name)
	if !hmac.Equal(tag, mac.Sum(nil)) {
		return nil, errors.New("the integrity is wrong")
	}
	return decrypt(derive(seed, "STORAGE", name, 128), ciphertext), nil
}

// derive is KDFa with SHA-256, for one block.
func derive(key []byte, label string, context []byte, bits uint32) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte{0, 0, 0, 1})
	mac.Write(append([]byte(label), 0))
	mac.Write(context)
	mac.Write(binary.BigEndian.AppendUint32(nil, bits))
	return mac.Sum(nil)[:bits/8]
}

func decrypt(key, ciphertext []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(ciphertext))
	//lint:ignore SA1019 the TPM specification demands this mode
	cipher.NewCFBDecrypter(block, make([]byte, aes.BlockSize)).XORKeyStream(out, ciphertext)
	return out
}

// sized returns the bytes that follow a length of two bytes, and the rest.
func sized(blob []byte) (part, rest []byte, err error) {
	if len(blob) < 2 || len(blob) < 2+int(binary.BigEndian.Uint16(blob)) {
		return nil, nil, errors.New("it ends early")
	}
	n := 2 + int(binary.BigEndian.Uint16(blob))
	return blob[2:n], blob[n:], nil
}
