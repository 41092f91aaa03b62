// Package amqp refuses AMQP 1.0 in the protocol itself: a client learns at once that the emulator does not support
// it, and does not reconnect again and again as after a broken connection. It opens no session and carries no
// message.
//
// Source: OASIS AMQP 1.0, parts 1 (types), 2 (transport) and 5 (security).
package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	// patience is how long a client may take for each of its steps.
	patience = 10 * time.Second
	// maxFrame limits, in bytes, what a client sends in a frame, and what is read of its last frames.
	maxFrame = 64 << 10

	condition   = "amqp:not-implemented"
	description = "The emulator does not support AMQP: use MQTT or HTTPS, see docs/reference/fidelity.md."
)

// Protocol ids of headers, and types of frames.
const (
	plainAMQP = 0
	sasl      = 3

	amqpFrame = 0
	saslFrame = 1
)

// Descriptors of performatives and of the type error.
const (
	open           = 0x10
	closing        = 0x18
	failure        = 0x1d
	saslMechanisms = 0x40
	saslOutcome    = 0x44
)

var errNoAMQP = errors.New("not an AMQP 1.0 header")

// Refuse refuses a client that has just connected, and closes the connection. SASL succeeds with any credentials,
// because clients treat a failure like a broken network; then the connection is opened and closed with the error
// amqp:not-implemented. The returned error is why the client did not get that.
func Refuse(conn net.Conn) error {
	defer conn.Close()
	err := refuse(conn)
	if err != nil {
		return fmt.Errorf("refuse AMQP: %w", err)
	}
	return nil
}

func refuse(conn net.Conn) error {
	protocol, err := readHeader(conn)
	if err != nil {
		return err
	}
	if protocol == sasl {
		if err := passSASL(conn); err != nil {
			return err
		}
		if protocol, err = readHeader(conn); err != nil {
			return err
		}
	}
	if err := write(conn, header(plainAMQP)); err != nil || protocol != plainAMQP {
		return err
	}
	if err := skipFrame(conn); err != nil {
		return err
	}
	// Both in one write, so that no client sends anything in between.
	refusal := described(failure, symbol(condition), text(description))
	if err := write(conn, append(frame(amqpFrame, described(open, text("evenkeel"))),
		frame(amqpFrame, described(closing, refusal))...)); err != nil {
		return err
	}
	// Closing a connection with unread data may discard what was written.
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.CopyN(io.Discard, conn, maxFrame)
	return nil
}

func passSASL(conn net.Conn) error {
	if err := write(conn, append(header(sasl), frame(saslFrame,
		described(saslMechanisms, symbols("ANONYMOUS", "EXTERNAL", "PLAIN")))...)); err != nil {
		return err
	}
	if err := skipFrame(conn); err != nil {
		return err
	}
	return write(conn, frame(saslFrame, described(saslOutcome, []byte{0x50, 0}))) // ubyte 0: ok
}

func header(protocol byte) []byte { return []byte{'A', 'M', 'Q', 'P', protocol, 1, 0, 0} }

// readHeader reads the protocol header of a client and returns its protocol.
func readHeader(conn net.Conn) (protocol byte, err error) {
	var given [8]byte
	if err := read(conn, given[:]); err != nil {
		return 0, err
	}
	if string(given[:4]) != "AMQP" {
		return 0, errNoAMQP
	}
	return given[4], nil
}

// skipFrame reads and ignores a frame.
func skipFrame(conn net.Conn) error {
	var size [4]byte
	if err := read(conn, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 8 || n > maxFrame {
		return fmt.Errorf("a frame of %d bytes", n)
	}
	_, err := io.CopyN(io.Discard, conn, int64(n)-4)
	return err
}

func read(conn net.Conn, into []byte) error {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, into)
	return err
}

func write(conn net.Conn, data []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := conn.Write(data)
	return err
}

// frame is a frame on channel 0.
func frame(kind byte, body []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(out, 2, kind, 0, 0), body...)
}

// described encodes a list of fields under a descriptor. All lists here are shorter than 255 bytes.
func described(descriptor byte, fields ...[]byte) []byte {
	var items []byte
	for _, f := range fields {
		items = append(items, f...)
	}
	return append([]byte{0, 0x53, descriptor, 0xc0, byte(len(items) + 1), byte(len(fields))}, items...)
}

func text(s string) []byte { return append([]byte{0xa1, byte(len(s))}, s...) }

func symbol(s string) []byte { return append([]byte{0xa3, byte(len(s))}, s...) }

// symbols is an array.
func symbols(all ...string) []byte {
	var items []byte
	for _, s := range all {
		items = append(append(items, byte(len(s))), s...)
	}
	return append([]byte{0xe0, byte(len(items) + 2), byte(len(all)), 0xa3}, items...)
}
