package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/dpsdevice"
	"evenkeel/internal/sas"
)

// answers is the topic under which the provisioning service answers ("Communicate with DPS using the MQTT protocol").
const answers = "$dps/registrations/res/"

// dialogue is one registration on a connection of its own, spoken packet by packet or request by request. General clients start
// goroutines for each connection, which costs a fifth of what a registration does; a load generator that did so would measure itself.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
	// resource is what the device registers as, token its proof.
	resource, token string
}

// open connects a device to an address of the emulator.
func (f *fleet) open(address, id, key string) (*dialogue, error) {
	resource := f.scope + "/registrations/" + id
	token, err := sas.New(resource, sas.Policy, key, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	conn, err := tls.Dial("tcp", address, f.tls())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &dialogue{conn, bufio.NewReader(conn), resource, token}, nil
}

// conclude registers by the one function and polls by the other until the device is assigned.
func conclude(id string, register func(body string) (operation, status string, err error), poll func(operation string) (status string, err error)) error {
	operation, status, err := register(`{"registrationId":"` + id + `"}`)
	for err == nil && status == "assigning" {
		status, err = poll(operation)
	}
	if err == nil && status != "assigned" {
		err = fmt.Errorf("the registration of %s is %s", id, status)
	}
	return err
}

func (f *fleet) registerOverHTTPS(id, key string) error {
	d, err := f.open(f.data, id, key)
	if err != nil {
		return err
	}
	defer d.conn.Close()
	return conclude(id,
		func(body string) (string, string, error) { return d.request(http.MethodPut, "/register", body) },
		func(operation string) (string, error) {
			_, status, err := d.request(http.MethodGet, "/operations/"+url.PathEscape(operation), "")
			return status, err
		})
}

// request asks the device API over HTTPS and reads its answer.
func (d *dialogue) request(method, path, body string) (operation, status string, err error) {
	request, err := http.NewRequest(method, "https://"+dpsdevice.GlobalHost+"/"+d.resource+path+"?api-version=2019-03-31", strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	request.Header.Set("Authorization", d.token)
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	if err := request.Write(d.conn); err != nil {
		return "", "", err
	}
	response, err := http.ReadResponse(d.in, request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var result struct{ OperationID, Status string }
	if err := json.NewDecoder(response.Body).Decode(&result); err != nil {
		return "", "", err
	}
	if response.StatusCode/100 != 2 {
		return "", "", errors.New("answered with " + response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body) // what is left of it stands before the next answer
	return result.OperationID, result.Status, err
}

func (f *fleet) registerOverMQTT(id, key string) error {
	d, err := f.open(f.mqtt, id, key)
	if err != nil {
		return err
	}
	defer d.conn.Close()
	if err := d.begin(id); err != nil {
		return fmt.Errorf("connect %s: %w", id, err)
	}
	err = conclude(id,
		func(body string) (string, string, error) {
			return d.ask("$dps/registrations/PUT/iotdps-register/?$rid=1", []byte(body))
		},
		func(operation string) (string, error) {
			_, status, err := d.ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId="+url.QueryEscape(operation), nil)
			return status, err
		})
	if err != nil {
		return err
	}
	return packets.NewControlPacket(packets.Disconnect).Write(d.conn)
}

// begin connects and subscribes to the answers.
func (d *dialogue) begin(clientID string) error {
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.Keepalive = "MQTT", 4, true, 180
	hello.ClientIdentifier, hello.UsernameFlag, hello.Username = clientID, true, d.resource+"/api-version=2019-03-31"
	hello.PasswordFlag, hello.Password = true, []byte(d.token)
	if err := hello.Write(d.conn); err != nil {
		return err
	}
	p, err := packets.ReadPacket(d.in)
	if err != nil {
		return err
	}
	if connack, ok := p.(*packets.ConnackPacket); !ok || connack.ReturnCode != packets.Accepted {
		return fmt.Errorf("refused: %v", p)
	}
	filter := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	filter.MessageID, filter.Topics, filter.Qoss = 1, []string{answers + "#"}, []byte{1}
	if err := filter.Write(d.conn); err != nil {
		return err
	}
	_, err = packets.ReadPacket(d.in)
	return err
}

// ask publishes one request and reads until its answer.
func (d *dialogue) ask(topic string, body []byte) (operation, status string, err error) {
	request := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	request.TopicName, request.Payload, request.Qos, request.MessageID = topic, body, 1, 2
	if err := request.Write(d.conn); err != nil {
		return "", "", err
	}
	for {
		p, err := packets.ReadPacket(d.in)
		if err != nil {
			return "", "", err
		}
		message, ok := p.(*packets.PublishPacket)
		if !ok {
			continue // an acknowledgement
		}
		if message.Qos > 0 {
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = message.MessageID
			if err := ack.Write(d.conn); err != nil {
				return "", "", err
			}
		}
		if code := strings.TrimPrefix(message.TopicName, answers); !strings.HasPrefix(code, "200") && !strings.HasPrefix(code, "202") {
			return "", "", errors.New("answered with " + message.TopicName)
		}
		var result struct{ OperationID, Status string }
		err = json.Unmarshal(message.Payload, &result)
		return result.OperationID, result.Status, err
	}
}
