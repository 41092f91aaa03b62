package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"evenkeel/emulator/internal/amqp"
)

// WebSocketPath is the path that every Azure IoT client uses for WebSockets, for MQTT and AMQP.
const WebSocketPath = "/$iothub/websocket"

const (
	// Subprotocols are case-insensitive, and returned as the client spelled them: the C SDK sends MQTT.
	subprotocol     = "mqtt"
	amqpSubprotocol = "AMQPWSB10"
	// closeWait limits the closing handshake of a WebSocket.
	closeWait = time.Second
)

var errText = errors.New("text message received: MQTT needs binary messages")

// upgrader does not check the origin, because no cookies are used. It accepts compressed messages, which the Node SDK
// offers to send, and sends none.
var upgrader = websocket.Upgrader{
	HandshakeTimeout: defaultConnectTimeout, EnableCompression: true,
	CheckOrigin: func(*http.Request) bool { return true },
}

// ServeWebSocket serves one MQTT connection over a WebSocket and returns when it has ended. AMQP is refused in AMQP,
// anything else with status 400 or 426.
func (b *Broker) ServeWebSocket(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "This is a WebSocket endpoint.", http.StatusUpgradeRequired)
		return
	}
	chosen := offered(r, subprotocol)
	refused := chosen == ""
	if refused {
		if chosen = offered(r, amqpSubprotocol); chosen == "" {
			http.Error(w, "The WebSocket subprotocol must be mqtt.", http.StatusBadRequest)
			return
		}
	}
	socket, err := upgrader.Upgrade(w, r, http.Header{"Sec-Websocket-Protocol": {chosen}})
	if err != nil {
		return // Upgrade has sent the response
	}
	socket.EnableWriteCompression(false)
	// A message may contain several packets. The packet reader limits their size.
	socket.SetReadLimit(2 * int64(b.server.Options.Capabilities.MaximumPacketSize))
	conn := &socketConn{Conn: socket.NetConn(), socket: socket, state: r.TLS}
	if refused {
		b.RefuseAMQP(conn)
		return
	}
	b.ServeConn(conn)
}

// offered returns a subprotocol as the client spells it, or "" if the client does not offer it.
func offered(r *http.Request, name string) string {
	for _, given := range websocket.Subprotocols(r) {
		if strings.EqualFold(given, name) {
			return given
		}
	}
	return ""
}

// RefuseAMQP refuses a client in terms of AMQP and closes its connection.
func (b *Broker) RefuseAMQP(conn net.Conn) {
	if err := amqp.Refuse(conn); err != nil {
		b.log.Debug("refuse an AMQP client", "client", conn.RemoteAddr(), "error", err)
	}
}

// socketConn is a WebSocket as a stream of bytes: packets may span messages, and messages hold several packets.
type socketConn struct {
	net.Conn // for the addresses
	socket   *websocket.Conn
	state    *tls.ConnectionState

	// message is the rest of the current message. Only the reader's goroutine uses it.
	message io.Reader

	// writing guards writes and their deadline.
	writing sync.Mutex
}

// ConnectionState returns the state of the underlying TLS connection, which has the client's certificates.
func (c *socketConn) ConnectionState() tls.ConnectionState {
	if c.state == nil {
		return tls.ConnectionState{}
	}
	return *c.state
}

// Read implements net.Conn.
func (c *socketConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, message, err := c.socket.NextReader()
			if err != nil {
				return 0, ended(err)
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// ended converts the close of a WebSocket to the end of the stream.
func ended(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return io.EOF
	}
	return fmt.Errorf("read WebSocket: %w", err)
}

// Write implements net.Conn. It sends one message.
func (c *socketConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.socket.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, fmt.Errorf("write WebSocket: %w", err)
	}
	return len(p), nil
}

// Close performs the closing handshake and closes the connection.
func (c *socketConn) Close() error {
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	// the client may have disconnected
	_ = c.socket.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(closeWait))
	return c.socket.Close()
}

// SetDeadline implements net.Conn.
func (c *socketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *socketConn) SetReadDeadline(t time.Time) error { return c.socket.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *socketConn) SetWriteDeadline(t time.Time) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.socket.SetWriteDeadline(t)
}
