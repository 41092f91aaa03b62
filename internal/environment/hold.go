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

// underLock runs work while Pulumi holds the lock of the stack: Pulumi refreshes no resource, with work in the place of the program. A
// refresh changes nothing in the cloud, whatever work does or however it ends. args are further ones of `pulumi refresh`.
func (e *Environment) underLock(ctx context.Context, why string, work func(context.Context, *pulumirpc.RunRequest) error, args ...string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for Pulumi: %w", err)
	}
	program := &program{work: work}
	server := grpc.NewServer()
	pulumirpc.RegisterLanguageRuntimeServer(server, program)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	_, err = e.output(ctx, append([]string{
		"refresh", "--yes", "--skip-preview", "--run-program", "--client", listener.Addr().String(), "--stack", e.Stack, "--message", why,
	}, args...)...)
	server.Stop()
	err = errors.Join(err, <-served)
	return program.result(err)
}

// program plays the language host of the stack's program: Pulumi runs it while it holds the lock.
type program struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	work func(context.Context, *pulumirpc.RunRequest) error

	mu  sync.Mutex
	ran bool
	err error
}

// Run implements the language host.
func (p *program) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ran {
		return nil, errors.New("the program has run already")
	}
	p.ran = true
	if p.err = p.work(ctx, request); p.err != nil {
		return &pulumirpc.RunResponse{Error: p.err.Error()}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// result is what came of it: the error of work itself, where that is what Pulumi ended for.
func (p *program) result(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	return err
}

// GetRequiredPackages implements the language host: the program needs no plugin.
func (p *program) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// GetPluginInfo implements the language host.
func (p *program) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}
