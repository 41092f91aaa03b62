// Package dpsdevice is the device side of Azure IoT provisioning: it registers a device with a Device Provisioning Service over HTTPS
// or MQTT 3.1.1, with a symmetric key or an X.509 certificate, and connects it to the IoT hub it was assigned to.
//
//	registration, err := dpsdevice.Register(ctx, dpsdevice.Options{IDScope: scope, RegistrationID: id, Credential: dpsdevice.SymmetricKey(key)})
//	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{Host: registration.Hub, DeviceID: registration.DeviceID, Credential: ...})
//	err = hub.Send(ctx, []byte(`{"temperature":21}`), nil)
//
// It speaks to Azure unless Network leads the same host names elsewhere. It has no TPM, no AMQP, no modules and no methods, and it
// does not connect again by itself when a connection is lost.
//
// Sources: "Communicate with DPS using the MQTT protocol", "Communicate with an IoT hub using the MQTT protocol" and the device API
// 2021-10-01 in the Azure documentation; the api-versions sent are those of the current device SDKs.
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

// GlobalHost is where devices of every provisioning service register: global.azure-devices-provisioning.net.
const GlobalHost = domain.GlobalHost

// The api-versions that the current device SDKs send.
const (
	registrationVersion = "2019-03-31"
	hubVersion          = "2021-04-12"
)

const (
	tokenLifetime = time.Hour
	// pollDefault is the wait between two polls when the service names none, as in the device SDKs.
	pollDefault = 2 * time.Second
	httpsPort   = 443
	mqttPort    = 8883
)

// Credential is how a device proves who it is: by a symmetric key or by a certificate.
type Credential struct {
	key         string
	certificate *tls.Certificate
}

// SymmetricKey is the credential of a device with a key (base64): its individual enrollment's, or the one derived from its group's.
func SymmetricKey(key string) Credential { return Credential{key: key} }

// X509 is the credential of a device with a certificate, its chain included; the leaf's common name is the registration id.
func X509(certificate tls.Certificate) Credential { return Credential{certificate: &certificate} }

func (c Credential) check() error {
	if c.key == "" && c.certificate == nil {
		return errors.New("no credential: give a symmetric key or a certificate")
	}
	return nil
}

// password is the SAS token for a resource, or "" where the certificate speaks.
func (c Credential) password(resource, keyName string, now time.Time) (string, error) {
	if c.certificate != nil {
		return "", nil
	}
	return sas.New(resource, keyName, c.key, now.Add(tokenLifetime))
}

// Network leads Azure's host names elsewhere. The names stay what they are in TLS, in headers, in user names and in signatures. The
// zero value is Azure itself.
type Network struct {
	// Address returns the host:port to dial for a host and port of Azure. Nil dials them as they are.
	Address func(host string, port int) string
	// TLS is the base of every TLS configuration, for the roots to trust. It is copied. Nil trusts the system's roots.
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
	// Code is the service's six-digit number, 0 when it sent none.
	Code int
	// TrackingID is what Azure's support asks for; often empty.
	TrackingID string
	Message    string
}

// Error names what is known of the refusal.
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

// refusal reads an error body of either service. Text that is no such body is left out: it may be anything.
func refusal(status int, body []byte) *Error {
	var wire struct {
		ErrorCode  int    `json:"errorCode"`
		TrackingID string `json:"trackingId"`
		Message    string `json:"message"`
	}
	_ = json.Unmarshal(body, &wire) // an empty or foreign body leaves the status to speak
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
