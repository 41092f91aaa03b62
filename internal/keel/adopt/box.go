package adopt

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
)

// box encrypts the secrets of a stack's settings as Pulumi's secrets provider "passphrase" does: AES-256-GCM with a key
// derived from the passphrase and a salt. A nil box encrypts nothing.
type box struct {
	crypter config.Crypter
	// salt is the value of encryptionsalt in the stack's settings: it proves the passphrase.
	salt string
}

// saltBytes is the length of Pulumi's salts.
const saltBytes = 8

// probe is the text that Pulumi encrypts to recognise the passphrase.
const probe = "pulumi"

func newBox(passphrase string) (*box, error) {
	if passphrase == "" {
		return nil, nil
	}
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("adopt: make a salt: %w", err)
	}
	b := &box{crypter: config.NewSymmetricCrypterFromPassphrase(passphrase, salt)}
	text, err := b.seal(probe)
	b.salt = "v1:" + base64.StdEncoding.EncodeToString(salt) + ":" + text
	return b, err
}

// reopen uses the salt of an earlier run. It fails if the passphrase is another one.
func (b *box) reopen(passphrase, state string) error {
	version, rest, _ := strings.Cut(state, ":")
	encoded, text, _ := strings.Cut(rest, ":")
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || version != "v1" {
		return fmt.Errorf("adopt: the journal has no valid salt")
	}
	b.crypter, b.salt = config.NewSymmetricCrypterFromPassphrase(passphrase, salt), state
	if _, err := b.open(text); err != nil {
		return fmt.Errorf("adopt: the passphrase is not the one with which this adoption began")
	}
	return nil
}

func (b *box) seal(text string) (string, error) {
	sealed, err := b.crypter.EncryptValue(context.Background(), text)
	if err != nil {
		return "", fmt.Errorf("adopt: encrypt a secret: %w", err)
	}
	return sealed, nil
}

func (b *box) open(sealed string) (string, error) {
	return b.crypter.DecryptValue(context.Background(), sealed)
}
