package dpsdevice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/internal/sas"
)

const registrationAnswers = "$dps/registrations/res/"

// registrationKeepAlive is in seconds: the service closes a connection that is silent for half as long again, and no ping is ever sent
// here. It is the longest that Azure takes ("Communicate with an IoT hub using the MQTT protocol").
const registrationKeepAlive = 1177

// closeTimeout is how long saying goodbye may take.
const closeTimeout = 250 * time.Millisecond

// requestTimeout is how long the service may take for one answer, over either transport.
const requestTimeout = time.Minute

// mqttRegistrar speaks the device API over MQTT. It asks one thing at a time, so its connection needs no goroutines: that makes
// registering thousands of devices from one process a fifth cheaper than the general client does.
type mqttRegistrar struct {
	conn     net.Conn
	in       *bufio.Reader
	host     string
	packetID uint16
}

func openMQTT(ctx context.Context, o Options) (registrar, error) {
	resource := o.IDScope + "/registrations/" + o.RegistrationID
	password, err := o.Credential.password(resource, sas.Policy, clock(o.Now))
	if err != nil {
		return nil, err
	}
	conn, err := o.Network.dial(ctx, o.Host, mqttPort, o.Credential)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Host, err)
	}
	m := &mqttRegistrar{conn: conn, in: bufio.NewReader(conn), host: o.Host}
	if err := m.within(ctx, func() error { return m.begin(o.RegistrationID, resource+"/api-version="+registrationVersion, password) }); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return m, nil
}

// begin connects and subscribes to the answers.
func (m *mqttRegistrar) begin(clientID, user, password string) error {
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.Keepalive = "MQTT", 4, true, registrationKeepAlive
	hello.ClientIdentifier, hello.UsernameFlag, hello.Username = clientID, true, user
	hello.PasswordFlag, hello.Password = password != "", []byte(password)
	if err := hello.Write(m.conn); err != nil {
		return err
	}
	connack, err := read[*packets.ConnackPacket](m)
	if err != nil {
		return err
	}
	if code := connack.ReturnCode; code != packets.Accepted {
		if reason := packets.ConnErrors[code]; reason != nil {
			return refusedConnect(m.host, reason)
		}
		return refusedConnect(m.host, fmt.Errorf("refused with MQTT code %d", code))
	}
	filter := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	m.packetID++
	filter.MessageID, filter.Topics, filter.Qoss = m.packetID, []string{registrationAnswers + "#"}, []byte{1}
	if err := filter.Write(m.conn); err != nil {
		return err
	}
	suback, err := read[*packets.SubackPacket](m)
	if err == nil && (len(suback.ReturnCodes) != 1 || suback.ReturnCodes[0] > 1) {
		err = errors.New("subscribe: refused")
	}
	return err
}

func (m *mqttRegistrar) register(ctx context.Context, body []byte) (answer, error) {
	return m.ask(ctx, "$dps/registrations/PUT/iotdps-register/?$rid=", "", body)
}

func (m *mqttRegistrar) poll(ctx context.Context, operation string) (answer, error) {
	return m.ask(ctx, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=", "&operationId="+url.QueryEscape(operation), nil)
}

func (m *mqttRegistrar) ask(ctx context.Context, topic, rest string, body []byte) (a answer, err error) {
	err = m.within(ctx, func() error {
		m.packetID++
		id := strconv.Itoa(int(m.packetID))
		request := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		request.TopicName, request.Payload, request.Qos, request.MessageID = topic+id+rest, body, 1, m.packetID
		if err := request.Write(m.conn); err != nil {
			return err
		}
		a, err = m.await(id)
		return err
	})
	return a, err
}

// await reads until the answer to a request comes; what else comes is acknowledged and dropped.
func (m *mqttRegistrar) await(id string) (answer, error) {
	for {
		p, err := packets.ReadPacket(m.in)
		if err != nil {
			return answer{}, err
		}
		message, ok := p.(*packets.PublishPacket)
		if !ok {
			continue
		}
		if message.Qos == 1 {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = message.MessageID
			if err := ack.Write(m.conn); err != nil {
				return answer{}, err
			}
		}
		status, query, _ := strings.Cut(strings.TrimPrefix(message.TopicName, registrationAnswers), "/?")
		code, err := strconv.Atoi(status)
		if err != nil {
			continue
		}
		if values, err := url.ParseQuery(query); err == nil && values.Get("$rid") == id {
			return answer{code, seconds(values.Get("retry-after")), message.Payload}, nil
		}
	}
}

// within does some reading and writing, which ends with ctx.
func (m *mqttRegistrar) within(ctx context.Context, do func() error) error {
	_ = m.conn.SetDeadline(time.Now().Add(requestTimeout))
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := do()
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errLost
	}
	return err
}

func (m *mqttRegistrar) close() {
	_ = m.conn.SetDeadline(time.Now().Add(closeTimeout))
	_ = packets.NewControlPacket(packets.Disconnect).Write(m.conn)
	_ = m.conn.Close()
}

// read reads one packet, which must be of that kind.
func read[P packets.ControlPacket](m *mqttRegistrar) (P, error) {
	var want P
	p, err := packets.ReadPacket(m.in)
	if err != nil {
		return want, err
	}
	want, ok := p.(P)
	if !ok {
		return want, fmt.Errorf("got an MQTT packet %T, want %T", p, want)
	}
	return want, nil
}
