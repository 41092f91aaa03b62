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

	"evenkeel/dpsdevice"
	"evenkeel/internal/sas"
)

// answers is the topic under which the provisioning service answers ("Communicate with DPS using the MQTT protocol").
const answers = "$dps/registrations/res/"

// deviceVersion is the api-version that the device SDKs send.
const deviceVersion = "api-version=2019-03-31"

// device is one that registers: by a key, or by a certificate.
type device struct {
	id, key     string
	certificate *tls.Certificate
}

func (f *fleet) resource(d device) string { return f.scope + "/registrations/" + d.id }

// token is the device's proof; none where its certificate is.
func (f *fleet) token(d device) (string, error) {
	if d.certificate != nil {
		return "", nil
	}
	return sas.New(f.resource(d), sas.Policy, d.key, time.Now().Add(time.Hour))
}

// open connects a device to an address of the emulator.
func (f *fleet) open(address string, d device) (net.Conn, error) {
	conn, err := tls.Dial("tcp", address, f.tls(d.certificate))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
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

func (f *fleet) registerOverHTTPS(d device) error {
	token, err := f.token(d)
	if err != nil {
		return err
	}
	conn, err := f.open(f.data, d)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	request := func(method, path, body string) (operation, status string, err error) {
		request, err := http.NewRequest(method, "https://"+dpsdevice.GlobalHost+"/"+f.resource(d)+path+"?"+deviceVersion, strings.NewReader(body))
		if err != nil {
			return "", "", err
		}
		request.Header.Set("Authorization", token)
		request.Header.Set("Content-Type", "application/json; charset=utf-8")
		if err := request.Write(conn); err != nil {
			return "", "", err
		}
		return readAnswer(in, request)
	}
	return conclude(d.id,
		func(body string) (string, string, error) { return request(http.MethodPut, "/register", body) },
		func(operation string) (string, error) {
			_, status, err := request(http.MethodGet, "/operations/"+url.PathEscape(operation), "")
			return status, err
		})
}

// readAnswer reads the device API's answer over HTTPS.
func readAnswer(in *bufio.Reader, request *http.Request) (operation, status string, err error) {
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	if operation, status, err = readResult(json.NewDecoder(response.Body)); err != nil {
		return "", "", err
	}
	if response.StatusCode/100 != 2 {
		return "", "", errors.New("answered with " + response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body) // what is left of it stands before the next answer
	return operation, status, err
}

func readResult(in *json.Decoder) (operation, status string, err error) {
	var result struct{ OperationID, Status string }
	err = in.Decode(&result)
	return result.OperationID, result.Status, err
}

func (f *fleet) registerOverMQTT(d device) error {
	token, err := f.token(d)
	if err != nil {
		return err
	}
	conn, err := f.open(f.mqtt, d)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := newSession(conn)
	if err := s.connect(d.id, f.resource(d)+"/"+deviceVersion, token); err != nil {
		return fmt.Errorf("connect %s: %w", d.id, err)
	}
	if err := s.subscribe(answers + "#"); err != nil {
		return fmt.Errorf("subscribe %s: %w", d.id, err)
	}
	ask := func(topic, body string) (operation, status string, err error) {
		code, answer, err := s.ask("$dps/registrations/"+topic, []byte(body), answers)
		if err != nil {
			return "", "", err
		}
		if !strings.HasPrefix(code, "200") && !strings.HasPrefix(code, "202") {
			return "", "", fmt.Errorf("answered with %s: %s", code, answer)
		}
		return readResult(json.NewDecoder(strings.NewReader(string(answer))))
	}
	err = conclude(d.id,
		func(body string) (string, string, error) { return ask("PUT/iotdps-register/?$rid=1", body) },
		func(operation string) (string, error) {
			_, status, err := ask("GET/iotdps-get-operationstatus/?$rid=1&operationId="+url.QueryEscape(operation), "")
			return status, err
		})
	if err != nil {
		return err
	}
	return s.disconnect()
}
