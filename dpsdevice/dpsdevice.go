// Package dpsdevice is the device side of Azure IoT provisioning: it registers a device with a Device Provisioning
// Service over HTTPS or MQTT 3.1.1, with a symmetric key or an X.509 certificate, and connects it to the IoT hub it was
// assigned to.
//
//	credential := dpsdevice.SymmetricKey(key)
//	registration, err := dpsdevice.Register(ctx, dpsdevice.Options{
//		IDScope: scope, RegistrationID: id, Credential: credential,
//	})
//	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{
//		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: credential,
//	})
//	err = hub.Send(ctx, []byte(`{"temperature":21}`), nil)
//
// With Options.CSR the service issues a certificate for the hub, if the enrollment names a certificate policy. NewCSR
// makes the request, and Registration.Certificate returns what X509 takes to connect with it.
//
// It connects to Azure unless Network maps the same host names to other addresses. It has no TPM, no AMQP and no
// modules, and it does not reconnect when a connection is lost.
//
// Sources: "Communicate with DPS using the MQTT protocol", "Communicate with an IoT hub using the MQTT protocol" and
// the device API 2021-10-01 and 2026-11-01 in the Azure documentation.
package dpsdevice

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/sas"
)

// GlobalHost is the host where devices of every provisioning service register: global.azure-devices-provisioning.net.
const GlobalHost = domain.GlobalHost

// The api-versions that device SDKs send. With 2019-03-31 the answer never shows that a device was reprovisioned, which
// Registration.Substatus reports.
const (
	registrationVersion = "2021-06-01"
	// csrVersion is the one of a registration with a certificate signing request.
	csrVersion = "2026-11-01"
	hubVersion = "2021-04-12"
)

const (
	tokenLifetime = time.Hour
	// pollDefault is the wait between two polls when the service names none, as in the device SDKs.
	pollDefault = 2 * time.Second
	httpsPort   = 443
	mqttPort    = 8883
)

// Credential is how a device authenticates: with a symmetric key or with a certificate.
type Credential struct {
	key         string
	certificate *tls.Certificate
}

// SymmetricKey is the credential of a device with a key (base64): its individual enrollment's, or the one derived from
// its group's.
func SymmetricKey(key string) Credential { return Credential{key: key} }

// X509 is the credential of a device with a certificate, its chain included; the leaf's common name is the registration
// id.
func X509(certificate tls.Certificate) Credential { return Credential{certificate: &certificate} }

func (c Credential) check() error {
	if c.key == "" && c.certificate == nil {
		return errors.New("no credential: give a symmetric key or a certificate")
	}
	return nil
}

// password returns the SAS token for a resource, or "" for a certificate.
func (c Credential) password(resource, keyName string, now time.Time) (string, error) {
	if c.certificate != nil {
		return "", nil
	}
	return sas.New(resource, keyName, c.key, now.Add(tokenLifetime))
}

// Network maps Azure's host names to other addresses. TLS, headers, user names and signatures keep the names. The zero
// value is Azure itself.
type Network struct {
	// Address returns the host:port to dial for a host and port of Azure. Nil dials them as they are.
	Address func(host string, port int) string
	// TLS is the base of every TLS configuration, such as the roots to trust. It is copied. Nil trusts the system's
	// roots.
	TLS *tls.Config
}

// Loopback returns an Address that sends all HTTPS to one host:port and all MQTT to another.
func Loopback(https, mqtt string) func(string, int) string {
	return func(_ string, port int) string {
		if port == mqttPort {
			return mqtt
		}
		return https
	}
}

func (n Network) address(host string, port int) string {
	if n.Address != nil {
		return n.Address(host, port)
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

func (n Network) tls(host string, c Credential) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if n.TLS != nil {
		config = n.TLS.Clone()
	}
	config.ServerName = host
	if c.certificate != nil {
		config.Certificates = []tls.Certificate{*c.certificate}
	}
	return config
}

func (n Network) dial(ctx context.Context, host string, port int, c Credential) (net.Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 30 * time.Second}, Config: n.tls(host, c)}
	return dialer.DialContext(ctx, "tcp", n.address(host, port))
}

// Error is a refusal by the provisioning service or a hub.
type Error struct {
	// Status is the HTTP status, or its MQTT equivalent; 200 for a registration that was carried out and failed.
	Status int
	// Code is the service's six-digit error code, or 0 when the answer has none.
	Code int
	// TrackingID identifies the request for Azure's support; often empty.
	TrackingID string
	Message    string
}

// Error returns the status, code and tracking id of the refusal.
func (e *Error) Error() string {
	text := fmt.Sprintf("refused with status %d", e.Status)
	if e.Code != 0 {
		text += fmt.Sprintf(", code %d", e.Code)
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.TrackingID != "" {
		text += " (tracking id " + e.TrackingID + ")"
	}
	return text
}

// refusal reads an error body of either service. It leaves out any other text.
func refusal(status int, body []byte) *Error {
	var wire struct {
		ErrorCode  int    `json:"errorCode"`
		TrackingID string `json:"trackingId"`
		Message    string `json:"message"`
	}
	_ = json.Unmarshal(body, &wire) // with an empty or unknown body only the status is known
	return &Error{Status: status, Code: wire.ErrorCode, TrackingID: wire.TrackingID, Message: wire.Message}
}

// pause waits, or ends early with ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
