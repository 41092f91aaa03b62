package sas_test

import (
	"errors"
	"testing"
	"time"

	"evenkeel/internal/azure/sas"
)

// FuzzParse: any token is parsed or rejected, and none is valid without the key.
func FuzzParse(f *testing.F) {
	expiry := time.Unix(1_800_000_000, 0)
	good, err := sas.New("hub-1.azure-devices.net/devices/d 1", "device", key, expiry)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		good, "", "SharedAccessSignature ", "SharedAccessSignature sr=&sig=&se=",
		"sharedaccesssignature SE=1&SR=a%2Fb&SIG=YQ%3D%3D&skn=x",
		"SharedAccessSignature sr=0ne00000001/registrations/a&sig=YQ==&se=99999999999999999999",
		"SharedAccessSignature sr=%zz&sig=a&se=-1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := sas.Parse(text)
		if err != nil {
			if !errors.Is(err, sas.ErrMalformed) {
				t.Errorf("%q: got %v, want %v", text, err, sas.ErrMalformed)
			}
			return
		}
		token.Covers("hub-1.azure-devices.net/devices/d 1")
		if err := token.Verify(expiry.Add(-time.Hour), key); err == nil &&
			!token.Covers("hub-1.azure-devices.net/devices/d 1") {
			t.Errorf("%q gives access to another resource than the one it was signed for", text)
		}
	})
}

// FuzzNew: what New returns can be parsed.
func FuzzNew(f *testing.F) {
	f.Add("hub-1.azure-devices.net", "iothubowner", int64(1_800_000_000))
	f.Add("hub-1.azure-devices.net/devices/a&b=c%d", "", int64(1))
	f.Fuzz(func(t *testing.T, resource, name string, expiry int64) {
		made, err := sas.New(resource, name, key, time.Unix(expiry, 0))
		if err != nil {
			return
		}
		token, err := sas.Parse(made)
		if err != nil {
			return // too long, or of a time that no service would accept
		}
		if token.Resource != resource || token.KeyName != name || token.Expiry.Unix() != expiry {
			t.Errorf("got %+v of %q, %q, %d", token, resource, name, expiry)
		}
		if err := token.Verify(time.Unix(expiry-1, 0), key); err != nil && expiry > 0 {
			t.Errorf("%q is refused: %v", made, err)
		}
	})
}
