package emulator

import (
	"log/slog"
	"net"

	"evenkeel/internal/durable"
	"evenkeel/internal/durable/durabletest"
)

// On lets tests put a handler of their own behind what every surface is wrapped in.
var On = (*Emulator).on

// InFiles returns the options with the data folder in a file system of a test.
func (o Options) InFiles(files *durabletest.FS) Options {
	o.disk, o.storeDisk = durable.Disk{FS: files}, files.Mem
	return o
}

// AddressOf is the address that a file in a file system of a test remembers for a host, or that is given to it now.
func AddressOf(files *durabletest.FS, file, host string) (string, error) {
	a := &addresses{
		file: file, disk: durable.Disk{FS: files}, logger: slog.New(slog.DiscardHandler),
		serve: func(string) ([]net.Listener, error) { return nil, nil },
	}
	if err := a.load(); err != nil {
		return "", err
	}
	return a.ensure(host)
}

// StartOnFreePorts starts an emulator as RunT does, for tests that close it themselves.
var StartOnFreePorts = startOnFreePorts

// Connections is how many connections over MQTT are open.
func Connections(e *Emulator) int { return e.broker.Connections() }

// Addresses gives hosts loopback addresses, as NamesLoopback does, without listening on them; file is where they are
// remembered.
func Addresses(file string) (ensure func(host string) (string, error), follow func(hosts []string) error, err error) {
	a := &addresses{
		file: file, disk: durable.OS, logger: slog.New(slog.DiscardHandler),
		serve: func(string) ([]net.Listener, error) { return []net.Listener{}, nil },
	}
	return a.ensure, a.follow, a.load()
}
