package dpsdevice

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// ErrLost is the cause when a connection ended while its device waited for something: another client may have connected
// as the same device, or the service has stopped. Callers can retry.
var ErrLost = errors.New("the connection was lost")

// login is the content of an MQTT CONNECT.
type login struct {
	host, clientID, user, password string
	credential                     Credential
	network                        Network
	clean                          bool
}

// session is an MQTT 3.1.1 connection on which messages with the request's id answer requests.
type session struct {
	client mqtt.Client
	lost   chan struct{}

	mu      sync.Mutex // guards waiting
	waiting map[string]chan reply
}

// reply is an answer: the status in its topic, the topic's query, the payload.
type reply struct {
	status  int
	query   url.Values
	payload []byte
}

// connect opens a session and subscribes to the topics of answers, which begin with prefix.
func connect(ctx context.Context, l login, prefix string) (*session, error) {
	s := &session{lost: make(chan struct{}), waiting: map[string]chan reply{}}
	lostOnce := sync.OnceFunc(func() { close(s.lost) })
	options := mqtt.NewClientOptions().AddBroker("ssl://" + net.JoinHostPort(l.host, strconv.Itoa(mqttPort))).
		SetClientID(l.clientID).SetUsername(
		l.user).SetPassword(l.password).SetCleanSession(l.clean).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectRetry(
		false).SetKeepAlive(3 * time.Minute).SetConnectTimeout(30 * time.Second).SetOrderMatters(false).
		SetConnectionLostHandler(func(mqtt.Client, error) { lostOnce() }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			return l.network.dial(ctx, l.host, mqttPort, l.credential)
		})
	s.client = mqtt.NewClient(options)
	if err := s.await(ctx, s.client.Connect()); err != nil {
		s.client.Disconnect(0)
		return nil, refusedConnect(l.host, err)
	}
	if prefix == "" {
		return s, nil
	}
	if err := s.subscribe(ctx, prefix, func(m mqtt.Message) { s.deliver(prefix, m) }); err != nil {
		s.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return s, nil
}

// subscribe calls handle for each message whose topic begins with prefix, in a goroutine of its own.
func (s *session) subscribe(ctx context.Context, prefix string, handle func(mqtt.Message)) error {
	return s.explain(s.await(ctx, s.client.Subscribe(prefix+"#", 1, func(_ mqtt.Client, m mqtt.Message) { handle(m) })))
}

// refusedConnect converts the CONNACK codes for rejected credentials to an Error.
func refusedConnect(host string, err error) error {
	if errors.Is(err, packets.ErrorRefusedNotAuthorised) || errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) {
		return &Error{Status: http.StatusUnauthorized, Message: host + " refuses the device's identity or credential"}
	}
	if errors.Is(err, io.EOF) { // the connection ended before CONNACK, as when another client took it over
		return fmt.Errorf("connect to %s: %w: %w", host, ErrLost, err)
	}
	return fmt.Errorf("connect to %s: %w", host, err)
}

// await waits for a token of the MQTT client.
func (s *session) await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-s.lost:
		return ErrLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends a message and waits until it is acknowledged.
func (s *session) publish(ctx context.Context, topic string, payload []byte) error {
	return s.explain(s.await(ctx, s.client.Publish(topic, 1, false, payload)))
}

// explain makes ErrLost the cause of what the MQTT client says when its connection has ended.
func (s *session) explain(err error) error {
	if err == nil || errors.Is(err, ErrLost) || s.client.IsConnectionOpen() ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// request publishes to the topic that topic returns for a new request id, and waits for the answer.
func (s *session) request(ctx context.Context, topic func(id string) string, payload []byte) (reply, error) {
	id, answered := rand.Text(), make(chan reply, 1)
	s.mu.Lock()
	s.waiting[id] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	if err := s.publish(ctx, topic(id), payload); err != nil {
		return reply{}, err
	}
	select {
	case r := <-answered:
		return r, nil
	case <-s.lost:
		return reply{}, ErrLost
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// deliver passes an answer to its request, and drops others. The rest of its topic is status, a slash, a query.
func (s *session) deliver(prefix string, m mqtt.Message) {
	status, query, _ := strings.Cut(strings.TrimPrefix(m.Topic(), prefix), "/?")
	code, err := strconv.Atoi(status)
	if err != nil {
		return
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return
	}
	s.mu.Lock()
	answered := s.waiting[values.Get("$rid")]
	s.mu.Unlock()
	if answered == nil {
		return
	}
	select {
	case answered <- reply{code, values, m.Payload()}:
	default: // answered twice
	}
}

func (s *session) close() { s.client.Disconnect(250) }
