package sas_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/azure/sas"
)

var (
	now  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key  = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	key2 = base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))
)

// The vectors are the worked examples of "Symmetric key attestation" and "Use custom allocation policies" in the Azure
// documentation.
func TestDerivedDeviceKeysMatchThePublishedVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ group, id, want string }{
		{"8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
			"sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="},
		{"oiK77Oy7rBw8YB6IS6ukRChAw+Yq6GC61RMrPLSTiOOtdI+XDu0LmLuNm11p+qv2I+adqGUdZHm46zXAQdZoOA==",
			"breakroom499-contoso-tstrsd-007", "JC8F96eayuQwwz+PkE7IzjH2lIAjCUnAa61tDigBnSs="},
	} {
		t.Run(tc.id, func(t *testing.T) {
			got, err := sas.DeriveDeviceKey(tc.group, tc.id)
			if err != nil || got != tc.want {
				t.Errorf("derive key of %q: got %q, %v, want %q", tc.id, got, err, tc.want)
			}
		})
	}
}

func TestATokenVerifiesWithItsKeyAndNoOther(t *testing.T) {
	t.Parallel()
	text, err := sas.New("0ne00000001/registrations/device-1", sas.Policy, key, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if token.Resource != "0ne00000001/registrations/device-1" || token.KeyName != "registration" {
		t.Errorf("got resource %q, key name %q", token.Resource, token.KeyName)
	}
	for name, tc := range map[string]struct {
		at   time.Time
		keys []string
		want error
	}{
		"primary":          {now, []string{key, key2}, nil},
		"secondary":        {now, []string{key2, key}, nil},
		"other key":        {now, []string{key2}, sas.ErrSignature},
		"no key":           {now, nil, sas.ErrSignature},
		"bad key":          {now, []string{"%%%", ""}, sas.ErrSignature},
		"expired":          {now.Add(time.Hour), []string{key}, sas.ErrExpired},
		"last good second": {now.Add(time.Hour - time.Second), []string{key}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := token.Verify(tc.at, tc.keys...); !errors.Is(got, tc.want) {
				t.Errorf("%s: got %v, want %v", name, got, tc.want)
			}
		})
	}
}

func TestTheSignatureCoversTheResourceAsSent(t *testing.T) {
	t.Parallel()
	text, _ := sas.New("hub.azure-devices.net/devices/d", "", key, now.Add(time.Hour))
	lower := strings.ReplaceAll(text, "%2F", "%2f")
	token, err := sas.Parse(lower)
	if err != nil {
		t.Fatal(err)
	}
	if got := token.Verify(now, key); !errors.Is(got, sas.ErrSignature) {
		t.Errorf("re-encoded resource: got %v, want %v", got, sas.ErrSignature)
	}
}

func TestRawSlashesAndAnyFieldOrderAreAccepted(t *testing.T) {
	t.Parallel()
	// Signed outside this package (openssl dgst -sha256 -mac HMAC) over the raw "0ne1/registrations/d" and se
	// 1767330245, with key.
	const sig = "DBw%2BxlM0tvunutVOOxP7Tqt4PN%2BTFJngdaS/0TbVKGM%3D"
	token, err := sas.Parse("SharedAccessSignature se=1767330245&skn=registration&sr=0ne1/registrations/d&sig=" + sig)
	if err != nil {
		t.Fatal(err)
	}
	if token.Resource != "0ne1/registrations/d" || token.Expiry.Unix() != 1767330245 {
		t.Errorf("got %q expiring %v", token.Resource, token.Expiry)
	}
	if err := token.Verify(now, key); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestMalformedTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "Bearer x", "SharedAccessSignature", "SharedAccessSignature ", "SharedAccessSignature sr=a&sig=b",
		"SharedAccessSignature sr=a&se=1",
		"SharedAccessSignature sr=a&sig=%%&se=1", "SharedAccessSignature sr=%zz&sig=YQ==&se=1",
		"SharedAccessSignature sr=a&sig=YQ==&se=soon",
		"SharedAccessSignature sr=a&sig=YQ==&se=-1", "SharedAccessSignature sr=a&sr=b&sig=YQ==&se=1",
		"SharedAccessSignature sr=" + strings.Repeat("a", 9000) + "&sig=YQ==&se=1",
	} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			if _, err := sas.Parse(text); !errors.Is(err, sas.ErrMalformed) {
				t.Errorf("parse %.40q: got %v, want %v", text, err, sas.ErrMalformed)
			}
		})
	}
}

func TestCoverageIsByPathSegments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		resource, path string
		want           bool
	}{
		{"h.azure-devices.net", "h.azure-devices.net/devices/d", true},
		{"H.azure-devices.net/Devices", "h.azure-devices.net/devices/d", true},
		{"h.azure-devices.net/dev", "h.azure-devices.net/devices/d", false},
		{"h.azure-devices.net/devices/d", "h.azure-devices.net/devices", false},
		{"other.azure-devices.net", "h.azure-devices.net", false},
		{"h.azure-devices.net/devices/a", "h.azure-devices.net/devices/A", false},
		{"h.azure-devices.net/devices/A", "h.azure-devices.net/devices/a/messages/events", false},
		{"H.azure-devices.net/DEVICES/a", "h.azure-devices.net/devices/a/Messages/Events", true},
		{"h.azure-devices.net/twins/a", "h.azure-devices.net/twins/A", false},
		{"h.azure-devices.net/digitaltwins/a", "h.azure-devices.net/digitaltwins/A/commands/c", false},
		{"h.azure-devices.net/devices/a/modules/m", "h.azure-devices.net/devices/a/Modules/M", false},
		{"h.azure-devices.net/devices/a/modules/m", "h.azure-devices.net/devices/a/Modules/m", true},
		{"h.azure-devices.net/devices/devices/MESSAGES", "h.azure-devices.net/devices/devices/messages", true},
		{"0ne1/registrations/A", "0NE1/Registrations/a", true},
		{"d.azure-devices-provisioning.net/enrollments/A", "d.azure-devices-provisioning.net/enrollments/a", true},
	} {
		t.Run(tc.resource+" covers "+tc.path, func(t *testing.T) {
			text, _ := sas.New(tc.resource, "", key, now)
			token, err := sas.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := token.Covers(tc.path); got != tc.want {
				t.Errorf("%q covers %q: got %v, want %v", tc.resource, tc.path, got, tc.want)
			}
		})
	}
}

func TestKeysOutsideTheLengthsOfTheServiceAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	for _, raw := range []int{15, 65} {
		t.Run(fmt.Sprint(raw, " bytes"), func(t *testing.T) {
			bad := base64.StdEncoding.EncodeToString(make([]byte, raw))
			if _, err := sas.DecodeKey(bad); err == nil || strings.Contains(err.Error(), bad) {
				t.Errorf("%d bytes: got %v", raw, err)
			}
		})
	}
	made, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := sas.DecodeKey(made); err != nil || len(raw) != sas.GeneratedKeyBytes {
		t.Errorf("made key: %d bytes, %v", len(raw), err)
	}
}
