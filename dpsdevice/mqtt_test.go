package dpsdevice_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/dpsdevice"
	"evenkeel/internal/sas"
)

// serveMQTT starts a provisioning service for one connection, which handle gets.
func serveMQTT(t *testing.T, handle func(net.Conn)) dpsdevice.Options {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // its certificate is for example.com
	lender.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		handle(conn)
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	return dpsdevice.Options{
		Host: "example.com", IDScope: "0ne00000001", RegistrationID: "dev-1", Credential: dpsdevice.SymmetricKey(key), Transport: dpsdevice.MQTT,
		Network: dpsdevice.Network{
			Address: dpsdevice.Loopback("", listener.Addr().String()), TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	}
}

// next reads one packet of the device; one of another kind fails the test and ends the service.
func next[P packets.ControlPacket](t *testing.T, conn net.Conn) P {
	p, err := packets.ReadPacket(conn)
	got, ok := p.(P)
	if err != nil || !ok {
		t.Errorf("got %v, %v, want %T", p, err, got)
		runtime.Goexit()
	}
	return got
}

// welcome accepts the device's connection and subscription.
func welcome(t *testing.T, conn net.Conn) {
	hello := next[*packets.ConnectPacket](t, conn)
	token, err := sas.Parse(string(hello.Password))
	if err != nil || token.Verify(time.Now(), key) != nil || token.Resource != "0ne00000001/registrations/dev-1" || token.KeyName != sas.Policy {
		t.Errorf("got token %+v, %v", token, err)
	}
	if want := "0ne00000001/registrations/dev-1/api-version="; !strings.HasPrefix(hello.Username, want) || hello.ClientIdentifier != "dev-1" {
		t.Errorf("got user %q, client %q, want %q… and dev-1", hello.Username, hello.ClientIdentifier, want)
	}
	_ = packets.NewControlPacket(packets.Connack).Write(conn)
	filter := next[*packets.SubscribePacket](t, conn)
	if len(filter.Topics) != 1 || filter.Topics[0] != "$dps/registrations/res/#" {
		t.Errorf("got subscriptions %q", filter.Topics)
	}
	ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
	ack.MessageID, ack.ReturnCodes = filter.MessageID, []byte{1}
	_ = ack.Write(conn)
}

// reply acknowledges a request and answers it; the answer needs an acknowledgement too.
func reply(conn net.Conn, request *packets.PublishPacket, topic, body string) {
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = request.MessageID
	_ = ack.Write(conn)
	message := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	message.TopicName, message.Payload, message.Qos, message.MessageID = topic, []byte(body), 1, 1
	_ = message.Write(conn)
}

// The topics are those of "Communicate with DPS using the MQTT protocol" of the Azure documentation.
func TestARegistrationOverMQTTIsPolledUntilItIsAssigned(t *testing.T) {
	t.Parallel()
	options := serveMQTT(t, func(conn net.Conn) {
		welcome(t, conn)
		request := next[*packets.PublishPacket](t, conn)
		rid, ok := strings.CutPrefix(request.TopicName, "$dps/registrations/PUT/iotdps-register/?$rid=")
		if !ok || request.Qos != 1 || !strings.Contains(string(request.Payload), `"registrationId":"dev-1"`) {
			t.Errorf("got %s %s", request.TopicName, request.Payload)
		}
		// An answer to somebody else's request comes first, and is acknowledged and dropped.
		reply(conn, request, "$dps/registrations/res/200/?$rid=other", assigned)
		next[*packets.PubackPacket](t, conn)
		reply(conn, request, "$dps/registrations/res/202/?$rid="+rid+"&retry-after=0", assigning)
		next[*packets.PubackPacket](t, conn)
		request = next[*packets.PublishPacket](t, conn)
		rest, ok := strings.CutPrefix(request.TopicName, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=")
		rid, operation, _ := strings.Cut(rest, "&operationId=")
		if !ok || operation != "5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550" {
			t.Errorf("got %s", request.TopicName)
		}
		reply(conn, request, "$dps/registrations/res/200/?$rid="+rid, assigned)
		next[*packets.PubackPacket](t, conn)
		next[*packets.DisconnectPacket](t, conn)
	})
	got, err := dpsdevice.Register(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if got.Hub != "MyExampleHub.azure-devices.net" || got.DeviceID != "dev-1" {
		t.Errorf("got %+v", got)
	}
}

func TestARefusedConnectionIsARefusal(t *testing.T) {
	t.Parallel()
	options := serveMQTT(t, func(conn net.Conn) {
		next[*packets.ConnectPacket](t, conn)
		no := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
		no.ReturnCode = packets.ErrRefusedNotAuthorised
		_ = no.Write(conn)
	})
	_, err := dpsdevice.Register(t.Context(), options)
	var got *dpsdevice.Error
	if !errors.As(err, &got) || got.Status != 401 {
		t.Errorf("got %v, want a refusal with status 401", err)
	}
}

func TestALostConnectionEndsTheRegistration(t *testing.T) {
	t.Parallel()
	options := serveMQTT(t, func(conn net.Conn) { welcome(t, conn) })
	if _, err := dpsdevice.Register(t.Context(), options); err == nil || !strings.Contains(err.Error(), "the connection was lost") {
		t.Errorf("got %v, want that the connection was lost", err)
	}
}

func TestWaitingForMQTTEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	options := serveMQTT(t, func(conn net.Conn) {
		welcome(t, conn)
		next[*packets.PublishPacket](t, conn)
		cancel()
		_, _ = packets.ReadPacket(conn) // the end of the connection
	})
	if _, err := dpsdevice.Register(ctx, options); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
