// Package broker serves MQTT 3.1.1 for the services behind it: it accepts connections, parses packets, acknowledges
// them and enforces the protocol's rules, and passes each connection to the Front that its user name selects.
//
// It is not a publish-subscribe broker: messages of one client never reach another client. It does not know devices,
// hubs or provisioning services, does not check credentials, and keeps no session after its connection has ended,
// whatever the clean-session flag. The listener handles TLS; the broker passes the client's certificates on without
// verifying them.
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

// ErrNotMine is returned by a Front's Accept for a user name of another form. The broker then tries the next front.
var ErrNotMine = errors.New("user name of another front")

// ErrUnavailable, in an error of Accept, refuses a connection with CONNACK 3, server unavailable: the client may
// retry.
var ErrUnavailable = errors.New("not now")

// ErrClosed is returned by Client.Send if the connection has ended.
var ErrClosed = errors.New("connection closed")

// Front is a service behind the broker. Accept is called once per connection, possibly for many at the same time.
type Front interface {
	// Accept checks the credentials and returns the client's session. ErrNotMine passes the connection to another
	// front. Any other error refuses it with CONNACK 5, not authorized, and is written to the debug log, so it must
	// not contain a key or a token.
	Accept(Connect) (Session, error)
}

// Connect is what a client sent when it connected.
type Connect struct {
	ClientID string
	UserName string
	// Password is empty if the client sent none.
	Password     string
	CleanSession bool
	// Certificates is the chain that the client presented in TLS, leaf first. It is unverified, but possession of the
	// leaf's key is proved. It is empty without certificates.
	Certificates []*x509.Certificate
	// Client is used by the session to send.
	Client Client
}

// Message is a message from or to a client.
type Message struct {
	Topic string
	// Payload belongs to the receiver of the Message.
	Payload []byte
	// QoS is 0 or 1.
	QoS byte
	// Retain is set only on inbound messages, and so is Will, on the will message of a client whose connection has
	// ended.
	Retain, Will bool
	// Resent marks an outbound message of QoS 1 that was sent over an earlier connection and not acknowledged: the
	// DUP flag.
	Resent bool
	// Acknowledged, if not nil, is called once, when the client acknowledges an outbound message of QoS 1. It is not
	// called if the connection ends first, nor with QoS 0. It runs on the connection's own goroutine.
	Acknowledged func()
}

// Client is the broker's end of a connection. Its methods may be called from any goroutine.
type Client interface {
	// Send sends a message, in the order of the calls, and does not wait for a slow client: the connection is closed
	// if too many messages wait. Messages that are sent while Accept, Subscribe or Publish runs follow the
	// acknowledgement of the client's request.
	Send(Message) error
	// Close ends the connection and returns at once. The reason is written to the debug log, because MQTT 3.1.1
	// cannot report it to the client.
	Close(reason error)
	// Remote returns the client's network address.
	Remote() string
	// Context is done when the connection ends: when the client disconnects or Close is called. Accept, Subscribe and
	// Publish should stop waiting then.
	Context() context.Context
}

// Session is one accepted connection. Subscribe, Unsubscribe and Publish are called one after the other, in the
// client's order.
type Session interface {
	// Name names the connection in the log. The front decides whether one client may have two connections.
	Name() string
	// Subscribe is called for each filter, with qos at most MaxQoS. It returns the granted one, or Refused. An error
	// closes the connection.
	Subscribe(filter string, qos byte) (granted byte, err error)
	// Unsubscribe ends the subscription to filter, which may not exist.
	Unsubscribe(filter string)
	// Publish handles a message of the client, which is acknowledged when Publish returns nil. An error closes the
	// connection without acknowledgement. Publish also gets the will if the connection ends without a DISCONNECT.
	Publish(Message) error
	// Closed is called once, last, when the connection has ended for any reason.
	Closed()
}

// Resumer is a Session that may continue an earlier session of its client; the CONNACK reports it.
type Resumer interface {
	// Resumed reports whether the session continues an earlier one. It is called once, before the CONNACK.
	Resumed() bool
}
