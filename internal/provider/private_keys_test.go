package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// newPrivateKey returns a private key as PEM, and a part of it by which tests find it.
func newPrivateKey(t *testing.T) (text, mark string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return text, strings.Split(text, "\n")[1][:32]
}

// TestPrivateKeysAreRefused walks the schema: a private key, alone or beside a certificate, in any format, is refused
// wherever the state keeps a string in plain text, and the error does not show it.
func TestPrivateKeysAreRefused(t *testing.T) {
	t.Parallel()
	spec, server, fine := readSchema(t), startProvider(t, object{}), good(t)
	key, mark := newPrivateKey(t)
	leaf := newAuthority(t, "root").leaf(t, "device-1", time.Hour)
	packed := base64.StdEncoding.EncodeToString([]byte(leaf + key))
	for token, described := range spec.Resources {
		urn := resource.URN("urn:pulumi:test::test::" + token + "::x")
		check := func(way []string, value property.Value) {
			inputs := withAt(fine[lastPart(token)].properties(), way, value)
			checked, err := server.Check(p.CheckRequest{Urn: urn, Inputs: inputs})
			must(t, err)
			if len(checked.Failures) == 0 {
				t.Errorf("%s: a private key at %s was taken", token, strings.Join(way, "."))
			}
			for _, secret := range []string{mark, packed[:32]} {
				for _, failure := range checked.Failures {
					expectHidden(t, inputs, []p.CheckFailure{failure}, secret, plainPath(failure))
				}
			}
		}
		var walk func(way []string, properties map[string]schema.PropertySpec)
		walk = func(prefix []string, properties map[string]schema.PropertySpec) {
			for name, described := range properties {
				way := append(slices.Clone(prefix), name)
				nested, is := spec.Types[strings.TrimPrefix(described.Ref, "#/types/")]
				for _, text := range []string{key, leaf + key, key + leaf, packed} {
					value := property.New(text)
					switch {
					case is && len(nested.Enum) == 0,
						described.Type == "boolean",
						described.Type == "integer",
						name == "manifest",
						name == "manifestText":
						continue
					case described.Type == "array" && described.Items.Ref != "":
						value = property.New(
							[]property.Value{property.New(object{"registrationId": text}.properties())},
						)
					case described.Type == "array":
						value = property.New([]property.Value{value})
					case described.Type == "object":
						value = property.New(object{"a": object{"b": text}}.properties())
					}
					check(way, value)
				}
				if is && len(nested.Enum) == 0 {
					walk(way, nested.Properties)
				}
			}
		}
		walk(nil, described.InputProperties)
	}
	for name := range spec.Types["azure-dps:index:EnrollmentSetItem"].Properties {
		item := object{"registrationId": "device-1"}.edited(object{name: leaf + key})
		inputs := object{"items": items(item)}.properties()
		checked, err := server.Check(
			p.CheckRequest{Urn: "urn:pulumi:test::test::azure-dps:index:EnrollmentSet::x", Inputs: inputs},
		)
		must(t, err)
		if len(checked.Failures) == 0 {
			t.Errorf("a private key in an item's %s was taken", name)
		}
		for _, failure := range checked.Failures {
			expectHidden(t, inputs, []p.CheckFailure{failure}, mark, plainPath(failure))
		}
	}
}

// A manifest is a file or a secret, so this test checks that its cells are refused with errors that do not show the
// key.
func TestNoPrivateKeyOfAManifestIsAcceptedOrShown(t *testing.T) {
	t.Parallel()
	key, mark := newPrivateKey(t)
	leaf := newAuthority(t, "root").leaf(t, "device-1", time.Hour)
	quoted := strings.ReplaceAll(leaf+key, "\n", `\n`)
	for _, column := range []string{
		"registrationId", "deviceId", "primaryKey", "secondaryKey", "certificate", "secondaryCertificate",
		"caReference", "endorsementKey", "storageRootKey",
		"provisioningStatus", "allocationPolicy", "iotHubs", "iotHubHostName", "iotEdge", "tags", "desiredProperties",
		"reprovisionPolicy", "customAllocation",
	} {
		t.Run(column, func(t *testing.T) {
			csv := "registrationId," + column + "\ndevice-1,\"" + leaf + key + "\"\n"
			if column == "registrationId" {
				csv = "registrationId\n\"" + leaf + key + "\"\n"
			}
			for form, content := range map[string]string{"CSV": csv, "JSON": `[{"registrationId":"device-1","` +
				column + `":"` + quoted + `"}]`} {
				t.Run(form, func(t *testing.T) {
					failures := reasons(t, content)
					if len(failures) == 0 {
						t.Errorf("%s: a private key in the column %s was taken", form, column)
					}
					if strings.Contains(strings.Join(failures, "\n"), mark) {
						t.Errorf("%s: the faults of the column %s show the key: %s", form, column, failures)
					}
				})
			}
		})
	}
}

// The first certificate of a chain in the format of Windows tools is enrolled, and no byte order mark is sent.
func TestACertificateWithAByteOrderMarkIsEnrolled(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	root := newAuthority(t, "root")
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
	inputs := object{
		"registrationId": "device-1",
		"attestation": object{
			"x509": object{
				"clientCertificates": object{"primary": "\ufeff" + root.leaf(t, "device-1", time.Hour) + root.PEM},
			},
		},
	}
	m.up(inputs)
	if got := m.up(inputs); got != nil {
		t.Errorf("again: got changes in %v, want none", got)
	}
}

// TestKeysWithLineBreaks: `openssl rand -base64 64` prints two lines (Azure/azure-sdk-for-c issue 2352). Every input
// for keys removes the line break.
func TestKeysWithLineBreaks(t *testing.T) {
	t.Parallel()
	server := startProvider(t, object{})
	key := newKey(t)
	broken, tpm := key[:64]+"\r\n"+key[64:]+"\n", endorsementKey[:8]+"\n"+endorsementKey[8:]
	symmetric := object{"attestation": object{"symmetricKey": object{"primaryKey": broken, "secondaryKey": broken}}}
	for kind, inputs := range map[string]object{
		"IndividualEnrollment": symmetric.edited(object{"registrationId": "a"}),
		"EnrollmentGroup":      symmetric.edited(object{"enrollmentGroupId": "a"}),
		"EnrollmentSet": {"items": items(object{"registrationId": "a", "primaryKey": broken, "secondaryKey": broken},
			object{"registrationId": "b", "endorsementKey": tpm, "storageRootKey": tpm})},
		"LinkedHub": {"provisioningServiceId": servicePath, "hubHostName": emulatedHub, "policyName": "link",
			"key": broken, "location": "westeurope"},
	} {
		expectUnbroken(t, kind, property.New(manage(t, nextRun(t, server), kind, "x").check(inputs)))
	}
	expectUnbroken(t, "TPM", property.New(manage(t, nextRun(t, server), "IndividualEnrollment", "x").check(object{
		"registrationId": "a", "attestation": object{"tpm": object{"endorsementKey": tpm, "storageRootKey": tpm}}})))
	for _, config := range []object{
		{"host": emulatedHost, "policyName": "p", "key": broken}, {"connectionString": "HostName=" + emulatedHost +
			";SharedAccessKeyName=p;SharedAccessKey=" + broken},
	} {
		checked, err := server.CheckConfig(p.CheckRequest{Urn: providerURN, Inputs: config.properties()})
		must(t, err)
		if len(checked.Failures) > 0 {
			t.Errorf("the configuration: got %v", checked.Failures)
		}
		expectUnbroken(t, "the configuration", property.New(checked.Inputs))
	}
}

func TestKeysWithLineBreaksOfAManifest(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	key := newKey(t)
	broken := key[:64] + "\n" + key[64:]
	for name, content := range map[string]string{
		"csv": "registrationId,primaryKey,secondaryKey\nbroken-csv,\"" + broken + "\",\"" + broken + "\"\n",
		"json": `[{"registrationId":"broken-json","primaryKey":"` + strings.ReplaceAll(broken, "\n", `\n`) +
			`","secondaryKey":"` + key + `"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "devices")
			must(t, os.WriteFile(file, []byte(content), 0o600))
			source, err := asset.FromPath(file)
			must(t, err)
			manage(t, server, "EnrollmentSet", name).up(object{"manifest": property.New(source)})
			attestation := service.entry(t, "/enrollments/broken-"+name)["attestation"].(map[string]any)
			for slot, got := range attestation["symmetricKey"].(map[string]any) {
				if got != key {
					t.Errorf("%s: %s is %q, want %q", name, slot, got, key)
				}
			}
		})
	}
}

// expectUnbroken fails the test if a string in the value contains a line break.
func expectUnbroken(t *testing.T, what string, value property.Value) {
	t.Helper()
	switch {
	case value.IsString():
		if strings.ContainsAny(value.AsString(), "\r\n") {
			t.Errorf("%s: a text has a line break", what)
		}
	case value.IsMap():
		for _, part := range value.AsMap().All {
			expectUnbroken(t, what, part)
		}
	case value.IsArray():
		for _, part := range value.AsArray().All {
			expectUnbroken(t, what, part)
		}
	}
}
