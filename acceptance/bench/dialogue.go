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

// dialogue is one registration over MQTT, spoken packet by packet. A general client starts goroutines for each connection, which costs
// a fifth of what a registration does; a load generator that did so would measure itself.
type dialogue struct {
	conn net.Conn
	in   *bufio.Reader
}

// registerOverHTTPS opens a connection, registers, and polls on it until the device is assigned. It needs no pool of connections and
// none of the goroutines of one.
func (f *fleet) registerOverHTTPS(id, key string) error {
	conn, err := tls.Dial("tcp", f.data, f.tls())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	resource := f.scope + "/registrations/" + id
	token, err := sas.New(resource, sas.Policy, key, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	in := bufio.NewReader(conn)
	ask := func(method, path, body string) (operation, status string, err error) {
		request, err := http.NewRequest(method, "https://"+dpsdevice.GlobalHost+"/"+resource+path+"?api-version=2019-03-31", strings.NewReader(body))
		if err != nil {
			return "", "", err
		}
		request.Header.Set("Authorization", token)
		request.Header.Set("Content-Type", "application/json; charset=utf-8")
		if err := request.Write(conn); err != nil {
			return "", "", err
		}
		response, err := http.ReadResponse(in, request)
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
	operation, status, err := ask(http.MethodPut, "/register", `{"registrationId":"`+id+`"}`)
	for err == nil && status == "assigning" {
		_, status, err = ask(http.MethodGet, "/operations/"+url.PathEscape(operation), "")
	}
	if err == nil && status != "assigned" {
		err = fmt.Errorf("the registration of %s is %s", id, status)
	}
	return err
}

// registerOverMQTT opens a connection, registers, and polls until the device is assigned.
func (f *fleet) registerOverMQTT(id, key string) error {
	conn, err := tls.Dial("tcp", f.mqtt, f.tls())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	d := &dialogue{conn, bufio.NewReader(conn)}
	resource := f.scope + "/registrations/" + id
	token, err := sas.New(resource, sas.Policy, key, time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	if err := d.begin(id, resource+"/api-version=2019-03-31", token); err != nil {
		return fmt.Errorf("connect %s: %w", id, err)
	}
	operation, status, err := d.ask("$dps/registrations/PUT/iotdps-register/?$rid=1", []byte(`{"registrationId":"`+id+`"}`))
	for err == nil && status == "assigning" {
		_, status, err = d.ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId="+url.QueryEscape(operation), nil)
	}
	if err == nil && status != "assigned" {
		err = fmt.Errorf("the registration of %s is %s", id, status)
	}
	if err != nil {
		return err
	}
	return packets.NewControlPacket(packets.Disconnect).Write(conn)
}

// begin connects and subscribes to the answers.
func (d *dialogue) begin(clientID, user, password string) error {
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.Keepalive = "MQTT", 4, true, 180
	hello.ClientIdentifier, hello.UsernameFlag, hello.Username = clientID, true, user
	hello.PasswordFlag, hello.Password = true, []byte(password)
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
