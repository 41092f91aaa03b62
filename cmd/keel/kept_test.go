package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/durable"
	"evenkeel/internal/durable/durabletest"
)

// port returns the port that listenPlugin opens, after closing it.
func pluginPort(t *testing.T, disk durable.Disk, logger *slog.Logger) (int, error) {
	t.Helper()
	listener, err := listenPlugin(disk, "data/plugin-port", logger)
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func TestThePortOfThePluginSurvivesALossOfPower(t *testing.T) {
	t.Parallel()
	files := durabletest.New()
	disk := durable.Disk{FS: files}
	if err := disk.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	port, err := pluginPort(t, disk, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		chance := rand.New(rand.NewPCG(seed, 1))
		if seed == 0 {
			chance = nil
		}
		text, err := durable.Disk{FS: files.Crash(chance)}.ReadFile("data/plugin-port")
		if err != nil || string(text) != fmt.Sprintln(port) {
			t.Errorf("cut %d: got %q, %v; want %d", seed, text, err, port)
		}
	}
}

func TestAnUnreadablePluginPortIsReplaced(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\x00\x00", "0\n", "-1\n", "70000\n", "443x\n", "\xff"} {
		t.Run(text, func(t *testing.T) {
			files := durabletest.New()
			disk := durable.Disk{FS: files}
			if err := disk.MkdirAll("data", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := disk.WriteFile("data/plugin-port", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var logged strings.Builder
			port, err := pluginPort(t, disk, slog.New(slog.NewTextHandler(&logged, nil)))
			kept, readErr := disk.ReadFile("data/plugin-port")
			if err != nil || readErr != nil || string(kept) != fmt.Sprintln(port) {
				t.Errorf("%q: got %d, %v and the file %q, %v; want a new port, remembered", text, port, err, kept,
					readErr)
			}
			if !strings.Contains(logged.String(), "level=WARN") {
				t.Errorf("%q: got the log %q, want a warning", text, logged.String())
			}
		})
	}
}

// TestAnInterruptEndsAStartThatHangs starts on a disk that does not answer.
func TestAnInterruptEndsAStartThatHangs(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	answer := make(chan struct{})
	defer close(answer)
	_, err := startUntilDone(ctx, func() (*emulator.Emulator, error) {
		interrupt()
		<-answer
		return nil, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
