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
	"evenkeel/internal/azure/sas"
)

// answers is the topic prefix of the provisioning service's answers ("Communicate with DPS using the MQTT protocol").
const answers = "$dps/registrations/res/"

// deviceVersion is the api-version that the device SDKs send.
const deviceVersion = "api-version=2019-03-31"

// device is a device that registers with a key or with a certificate.
type device struct {
	id, key     string
	certificate *tls.Certificate
}

func (f *fleet) resource(d device) string { return f.scope + "/registrations/" + d.id }

// token authenticates the device; "" for a device with a certificate.
func (f *fleet) token(d device) (string, error) {
	if d.certificate != nil {
		return "", nil
	}
	return sas.New(f.resource(d), sas.Policy, d.key, time.Now().Add(time.Hour))
}

// open connects to an address of the emulator, with Azure's host name in TLS.
func (f *fleet) open(address, host string, certificate *tls.Certificate) (net.Conn, error) {
	config := f.tls(certificate)
	config.ServerName = host
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// result holds the members of a registration result that the benchmark reads.
type result struct {
	OperationID, Status string
	RegistrationState   struct{ AssignedHub string }
}

// conclude calls register once and then poll until the device is assigned, and returns the host name of the hub.
func conclude(id string, register func(body string) (result, error), poll func(operation string) (result,
	error)) (string, error) {
	r, err := register(`{"registrationId":"` + id + `"}`)
	operation := r.OperationID
	for err == nil && r.Status == "assigning" {
		r, err = poll(operation)
	}
	if err == nil && r.Status != "assigned" {
		err = fmt.Errorf("register %s: the status is %s", id, r.Status)
	}
	return r.RegistrationState.AssignedHub, err
}

func (f *fleet) registerOverHTTPS(d device) (hub string, err error) {
	token, err := f.token(d)
	if err != nil {
		return "", err
	}
	conn, err := f.open(f.data, dpsdevice.GlobalHost, d.certificate)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	request := func(method, path, body string) (r result, err error) {
		request, err := http.NewRequest(method, "https://"+dpsdevice.GlobalHost+"/"+f.resource(d)+path+"?"+
			deviceVersion, strings.NewReader(body))
		if err != nil {
			return r, err
		}
		request.Header.Set("Authorization", token)
		request.Header.Set("Content-Type", "application/json; charset=utf-8")
		if err := request.Write(conn); err != nil {
			return r, err
		}
		return readAnswer(in, request)
	}
	return conclude(d.id,
		func(body string) (result, error) { return request(http.MethodPut, "/register", body) },
		func(operation string) (result, error) {
			return request(http.MethodGet, "/operations/"+url.PathEscape(operation), "")
		})
}

// readAnswer reads the device API's answer over HTTPS.
func readAnswer(in *bufio.Reader, request *http.Request) (r result, err error) {
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		return r, err
	}
	if response.StatusCode/100 != 2 {
		return r, errors.New("answered with " + response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body) // what is left of it stands before the next answer
	return r, err
}

func (f *fleet) registerOverMQTT(d device) (hub string, err error) {
	token, err := f.token(d)
	if err != nil {
		return "", err
	}
	conn, err := f.open(f.mqtt, dpsdevice.GlobalHost, d.certificate)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	s := newSession(conn)
	if err := s.connect(d.id, f.resource(d)+"/"+deviceVersion, token); err != nil {
		return "", fmt.Errorf("connect %s: %w", d.id, err)
	}
	if err := s.subscribe(answers + "#"); err != nil {
		return "", fmt.Errorf("subscribe %s: %w", d.id, err)
	}
	ask := func(topic, body string) (r result, err error) {
		code, answer, err := s.ask("$dps/registrations/"+topic, []byte(body), answers)
		if err != nil {
			return r, err
		}
		if !strings.HasPrefix(code, "200") && !strings.HasPrefix(code, "202") {
			return r, fmt.Errorf("answered with %s: %s", code, answer)
		}
		return r, json.Unmarshal(answer, &r)
	}
	hub, err = conclude(d.id,
		func(body string) (result, error) { return ask("PUT/iotdps-register/?$rid=1", body) },
		func(operation string) (result, error) {
			return ask("GET/iotdps-get-operationstatus/?$rid=1&operationId="+url.QueryEscape(operation), "")
		})
	if err != nil {
		return "", err
	}
	return hub, s.disconnect()
}
