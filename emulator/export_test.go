package emulator

import "net"

// On lets tests put a handler of their own behind what every surface is wrapped in.
var On = (*Emulator).on

// StartAnew starts an emulator as RunT does, for tests that close it themselves.
var StartAnew = startAnew

// Connections is how many connections over MQTT are open.
func Connections(e *Emulator) int { return e.broker.Connections() }

// Addresses gives hosts loopback addresses, as NamesLoopback does, without listening on them; file is where they are
// remembered.
func Addresses(file string) (ensure func(host string) (string, error), follow func(hosts []string) error, err error) {
	a := &addresses{file: file, serve: func(string) ([]net.Listener, error) { return []net.Listener{}, nil }}
	return a.ensure, a.follow, a.load()
}
