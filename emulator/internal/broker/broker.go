// Package broker speaks MQTT 3.1.1 for the services behind it: it takes connections, parses packets, acknowledges them and keeps the
// protocol's rules, and hands each connection to the Front whose user name it carries.
//
// It is not a publish-subscribe broker: what one client publishes never reaches another client. It does not know
// devices, hubs or provisioning services, does not check credentials, and keeps no session after its connection has
// ended, whatever the clean-session flag says. The listener does TLS; the broker passes on the certificates that a
// client presented, unchecked.
package broker

import (
	"context"
	"crypto/x509"
	"errors"
)

// MaxQoS is the highest quality of service that a Session may grant or send.
const MaxQoS = 1

// Refused is what a Session's Subscribe returns as granted to refuse one filter and keep the connection.
const Refused byte = 0x80

// ErrNotMine is returned by a Front's Accept for a user name that is not of its form; the next front is asked.
var ErrNotMine = errors.New("user name of another front")

// ErrUnavailable, in an error of Accept, refuses a connection with CONNACK 3, server unavailable: the client may come again.
var ErrUnavailable = errors.New("not now")

// ErrClosed is returned by Client.Send when the connection has ended.
var ErrClosed = errors.New("connection closed")

// Front is a service behind the broker. Accept is called once per connection, possibly for many at the same time.
type Front interface {
	// Accept checks the credentials and returns the client's session. ErrNotMine leaves the connection to another front; any other
	// error refuses it with CONNACK 5, not authorized, and goes to the debug log: it must not hold a key or a token.
	Accept(Connect) (Session, error)
}

// Connect is what a client sent when it connected.
type Connect struct {
	ClientID string
	UserName string
	// Password is empty when the client sent none.
	Password     string
	CleanSession bool
	// Certificates is the chain that the client presented in TLS, leaf first, unverified but with possession of the leaf's key
	// proved; empty without one.
	Certificates []*x509.Certificate
	// Client is where the session sends to.
	Client Client
}

// Message is what a client published, or what is sent to it.
type Message struct {
	Topic string
	// Payload belongs to the receiver of the Message.
	Payload []byte
	// QoS is 0 or 1.
	QoS byte
	// Retain is set on inbound messages only, and so is Will, on the one that a client left for the end of its connection.
	Retain, Will bool
	// Resent marks an outbound message of QoS 1 that an earlier connection was sent and did not acknowledge: the DUP
	// flag.
	Resent bool
	// Acknowledged, when not nil, is called once, when the client has acknowledged an outbound message of QoS 1. It is not called
	// for one that the connection's end left unacknowledged, nor with QoS 0. It runs on the connection's own goroutine.
	Acknowledged func()
}

// Client is the broker's end of a connection. Its methods may be called from any goroutine.
type Client interface {
	// Send sends a message, in the order of the calls, and does not wait for a slow client: the connection is closed
	// when too many messages wait. What is sent while Accept, Subscribe or Publish runs goes out after the
	// acknowledgement of what the client asked for.
	Send(Message) error
	// Close ends the connection and returns at once; the reason goes to the debug log. MQTT 3.1.1 has no way to tell the client.
	Close(reason error)
	// Remote is the client's network address.
	Remote() string
	// Context ends with the connection: when the client goes, and when Close is called. What Accept, Subscribe and
	// Publish wait for should end with it.
	Context() context.Context
}

// Session is one accepted connection. Subscribe, Unsubscribe and Publish are called one after the other, in the client's order.
type Session interface {
	// Name names the connection in the log. Whether one client may have two connections is the front's affair.
	Name() string
	// Subscribe is asked for each filter, with qos at most MaxQoS; it returns the granted one, or Refused. An error closes the
	// connection.
	Subscribe(filter string, qos byte) (granted byte, err error)
	// Unsubscribe says that the client wants no more of filter, which it may never have subscribed to.
	Unsubscribe(filter string)
	// Publish handles a message of the client; it is acknowledged when Publish returns nil. An error closes the connection without
	// acknowledgement. A will is published through it too, when the connection ends without a DISCONNECT.
	Publish(Message) error
	// Closed is called once, last, when the connection has ended for whatever reason.
	Closed()
}

// Resumer is a Session that may continue an earlier session of its client; the CONNACK reports it.
type Resumer interface {
	// Resumed reports whether it continues one. It is called once, before the CONNACK.
	Resumed() bool
}
