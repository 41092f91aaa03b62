package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// session is an MQTT connection without background goroutines. General clients start goroutines for each connection,
// which costs a fifth of a registration; a load generator that did so would measure itself.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	// out buffers an acknowledgement until another packet follows, so that one write sends both.
	out *bufio.Writer
	// sent is the last packet identifier that was used.
	sent uint16
}

func newSession(conn net.Conn) *session {
	return &session{conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriter(conn)}
}

// write sends the buffered packets and then a packet.
func (s *session) write(p packets.ControlPacket) error {
	if err := p.Write(s.out); err != nil {
		return err
	}
	return s.out.Flush()
}

// connect sends the connect packet. Without a password, the device authenticates with the certificate of the
// connection.
func (s *session) connect(clientID, user, password string) error {
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.Keepalive = "MQTT", 4, true, 180
	hello.ClientIdentifier, hello.UsernameFlag, hello.Username = clientID, user != "", user
	hello.PasswordFlag, hello.Password = password != "", []byte(password)
	if err := s.write(hello); err != nil {
		return err
	}
	p, err := packets.ReadPacket(s.in)
	if err != nil {
		return err
	}
	if connack, ok := p.(*packets.ConnackPacket); !ok || connack.ReturnCode != packets.Accepted {
		return fmt.Errorf("refused: %v", p)
	}
	return nil
}

// subscribe subscribes to a filter and waits for the SUBACK.
func (s *session) subscribe(filter string) error {
	s.sent++
	request := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	request.MessageID, request.Topics, request.Qoss = s.sent, []string{filter}, []byte{1}
	if err := s.write(request); err != nil {
		return err
	}
	p, err := packets.ReadPacket(s.in)
	if err != nil {
		return err
	}
	if suback, ok := p.(*packets.SubackPacket); !ok || len(suback.ReturnCodes) != 1 || suback.ReturnCodes[0] > 2 {
		return fmt.Errorf("subscription refused: %v", p)
	}
	return nil
}

// send publishes with QoS 1, without waiting for the acknowledgement.
func (s *session) send(topic string, body []byte) error {
	s.sent++
	message := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	message.TopicName, message.Payload, message.Qos, message.MessageID = topic, body, 1, s.sent
	return s.write(message)
}

// publish sends and waits for the acknowledgement.
func (s *session) publish(topic string, body []byte) error {
	if err := s.send(topic, body); err != nil {
		return err
	}
	p, err := packets.ReadPacket(s.in)
	if err != nil {
		return err
	}
	if _, ok := p.(*packets.PubackPacket); !ok {
		return fmt.Errorf("got %v, want an acknowledgement", p)
	}
	return nil
}

// ask publishes a request and reads until an answer arrives whose topic has the prefix. It returns the rest of the
// topic and the payload.
func (s *session) ask(topic string, body []byte, answers string) (rest string, answer []byte, err error) {
	if err := s.send(topic, body); err != nil {
		return "", nil, err
	}
	for {
		p, err := packets.ReadPacket(s.in)
		if err != nil {
			return "", nil, err
		}
		message, ok := p.(*packets.PublishPacket)
		if !ok {
			continue // an acknowledgement
		}
		if message.Qos > 0 {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = message.MessageID
			if err := ack.Write(s.out); err != nil {
				return "", nil, err
			}
		}
		rest, ok := strings.CutPrefix(message.TopicName, answers)
		if !ok {
			return "", nil, errors.New("an answer on topic " + message.TopicName)
		}
		return rest, message.Payload, nil
	}
}

func (s *session) disconnect() error {
	return s.write(packets.NewControlPacket(packets.Disconnect))
}
