package environment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// withLock runs work while Pulumi holds the lock of the stack, for any backend, and returns its error. If another
// process has the lock, it returns an error without running work. It runs a refresh of no resource, with work instead
// of the program, so Pulumi changes nothing in the cloud, however work ends.
func (e *Environment) withLock(ctx context.Context, why string, work func(context.Context) error) error {
	program := func(ctx context.Context, _ *pulumirpc.RunRequest) error { return work(ctx) }
	return e.refresh(ctx, why, program, "--exclude", "**")
}

// work is a function that keel runs instead of a program.
type work func(context.Context, *pulumirpc.RunRequest) error

// refresh runs `pulumi refresh` with work instead of the stack's program. args select what it refreshes.
func (e *Environment) refresh(ctx context.Context, why string, do work, args ...string) error {
	_, err := e.retryWithoutStaleLock(ctx, func() error { return e.refreshOnce(ctx, why, do, args) })
	return err
}

func (e *Environment) refreshOnce(ctx context.Context, why string, do work, args []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for Pulumi: %w", err)
	}
	program := &program{work: func(running context.Context, request *pulumirpc.RunRequest) error {
		running, cancel := context.WithCancel(running) // it ends with Pulumi or with keel
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return do(running, request)
	}}
	server := grpc.NewServer()
	pulumirpc.RegisterLanguageRuntimeServer(server, program)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, err = e.output(ctx, append([]string{
		"refresh", "--yes", "--skip-preview", "--run-program", "--client", listener.Addr().String(),
		"--stack", e.Stack, "--message", why, "--skip-config-validation", "--skip-plugin-pre-install",
	}, args...)...)
	server.Stop() // ends the context of work that Pulumi no longer waits for
	return program.result(errors.Join(err, <-served))
}

// program implements a language host: Pulumi runs it as the stack's program while it holds the lock.
type program struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	work work

	mu  sync.Mutex
	ran bool
	err error
}

// Run implements the language host.
func (p *program) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran {
		return nil, errors.New("the program has already run")
	}
	p.ran = true
	if p.err = p.work(ctx, request); p.err != nil {
		return &pulumirpc.RunResponse{Error: p.err.Error()}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// result returns the error of work, if there is one, or else err, with which the operation has ended.
func (p *program) result(err error) error {
	p.mu.Lock() // work may still be ending
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return p.err
	case err == nil && !p.ran:
		return errors.New("pulumi refresh did not run the program")
	}
	return err
}

// GetRequiredPackages implements the language host: the program needs no plugin.
func (p *program) GetRequiredPackages(
	context.Context,
	*pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// GetPluginInfo implements the language host.
func (p *program) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}
