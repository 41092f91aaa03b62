package main

import (
	"fmt"
	"net"
	"net/url"
	"time"

	"evenkeel/internal/azure/sas"
)

// hubVersion is the api-version that the device SDKs send to a hub.
const hubVersion = "/?api-version=2021-04-12"

// settled is a device that was assigned to a hub.
type settled struct {
	device
	hub string
}

// settle registers new devices with keys, several at a time.
func (f *fleet) settle(count, parallel int) ([]settled, error) {
	list := make([]settled, count)
	return list, inParallel(count, parallel, func(i int) error {
		d, err := f.newDevice(way{})
		if err != nil {
			return err
		}
		hub, err := f.registerOverMQTT(d)
		list[i] = settled{d, hub}
		return err
	})
}

// connect opens the device's MQTT connection to its hub. The caller closes it.
func (f *fleet) connect(d settled) (*session, error) {
	conn, err := f.open(f.mqtt, d.hub, nil)
	if err != nil {
		return nil, err
	}
	return greet(conn, d.id, func() (user, password string, err error) {
		token, err := sas.New(d.hub+"/devices/"+url.PathEscape(d.id), "", d.key, time.Now().Add(time.Hour))
		return d.hub + "/" + d.id + hubVersion, token, err
	})
}

// greet sends the CONNECT packet on a new connection, and closes the connection after an error.
func greet(conn net.Conn, id string, credentials func() (user, password string, err error)) (*session, error) {
	s := newSession(conn)
	user, password, err := credentials()
	if err == nil {
		err = s.connect(id, user, password)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect %s: %w", id, err)
	}
	return s, nil
}
