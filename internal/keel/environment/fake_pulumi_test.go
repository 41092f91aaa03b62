package environment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/emptypb"
)

// TestMain makes the test binary pulumi if it is started under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "pulumi" {
		os.Exit(fakePulumi(filepath.Dir(os.Args[0])).run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakePulumi is a pulumi that keeps everything in its own folder, because the environment of children is under test. It
// logs its arguments in "log". "export" is the state, "lock" exists while an operation runs, and "complaint" is the
// error of every operation.
type fakePulumi string

func (p fakePulumi) file(name string) string { return filepath.Join(string(p), name) }

func (p fakePulumi) run(args []string) int {
	log, err := os.OpenFile(p.file("log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 3
	}
	fmt.Fprintln(log, strings.Join(args, " "))
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "wait":
		_, err = io.Copy(io.Discard, os.Stdin)
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "stack init":
		backend, _, _ := strings.Cut(strings.TrimPrefix(os.Getenv("PULUMI_BACKEND_URL"), "file://"), "?")
		file := filepath.Join(
			strings.ReplaceAll(backend, "%20", " "),
			".pulumi",
			"stacks",
			"myproject",
			args[2]+".json",
		)
		err = errors.Join(
			os.MkdirAll(filepath.Dir(file), 0o700),
			os.WriteFile(file, []byte(`{"checkpoint":{}}`), 0o600),
		)
	case "stack export":
		if text, err := os.ReadFile(p.file("unreadable")); err == nil {
			_, _ = os.Stderr.Write(text)
			return 255
		}
		var text []byte
		text, err = os.ReadFile(p.file("export"))
		_, _ = os.Stdout.Write(text)
	case "stack ls", "stack history", "whoami --json", "org get-default":
		var text []byte
		if text, err = os.ReadFile(p.file(args[0] + args[1])); args[1] == "history" && errors.Is(err, fs.ErrNotExist) {
			text, err = []byte("[]"), nil
		}
		_, _ = os.Stdout.Write(text)
	case "cancel --yes":
		err = os.Remove(p.file("complaint"))
	case "up":
		fmt.Fprintln(os.Stderr, "error: incorrect passphrase")
		return 255
	case "up --yes", "refresh --yes":
		return p.operate(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	return 0
}

// operate runs an operation under the lock: the program at the address of --client, if there is one. With
// --clear-pending-creates it first clears them, before it takes the lock, as the real pulumi does.
func (p fakePulumi) operate(args []string) int {
	if slices.Contains(args, "--clear-pending-creates") {
		p.must(p.change(func(d map[string]any) { delete(d, "pending_operations") }))
	}
	if text, err := os.ReadFile(p.file("complaint")); err == nil {
		_, _ = os.Stderr.Write(text)
		return 255
	}
	p.must(os.WriteFile(p.file("lock"), []byte(strconv.Itoa(os.Getpid())), 0o600))
	defer func() { p.must(os.Remove(p.file("lock"))) }()
	// Another operation has ended just before.
	if next, err := os.ReadFile(p.file("export-by-then")); err == nil {
		p.must(errors.Join(os.WriteFile(p.file("export"), next, 0o600), os.Remove(p.file("export-by-then"))))
	}
	if text, err := os.ReadFile(p.file("history-by-then")); err == nil {
		p.must(os.WriteFile(p.file("stackhistory"), text, 0o600))
	}
	at := slices.Index(args, "--client")
	if at < 0 {
		return 0
	}
	if err := p.runProgram(args[at+1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 255
	}
	return 0
}

func (p fakePulumi) must(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "the fake pulumi failed:", err)
		os.Exit(5)
	}
}

// change edits the deployment of the state.
func (p fakePulumi) change(edit func(map[string]any)) error {
	text, err := os.ReadFile(p.file("export"))
	if err != nil {
		return err
	}
	var exported struct {
		Version    int            `json:"version"`
		Deployment map[string]any `json:"deployment"`
	}
	if err := json.Unmarshal(text, &exported); err != nil {
		return err
	}
	edit(exported.Deployment)
	if text, err = json.Marshal(exported); err != nil {
		return err
	}
	return os.WriteFile(p.file("export"), text, 0o600)
}

// runProgram makes a language host run the program, with a monitor that receives the outputs of the stack.
func (p fakePulumi) runProgram(address string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceMonitorServer(server, monitor{fakePulumi: p})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	host, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = host.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := pulumirpc.NewLanguageRuntimeClient(host).Run(ctx, &pulumirpc.RunRequest{
		Project: "myproject", Stack: "local", MonitorAddress: listener.Addr().String(),
	})
	if err == nil && answer.GetError() != "" {
		err = errors.New(answer.GetError())
	}
	return err
}

type monitor struct {
	pulumirpc.UnimplementedResourceMonitorServer
	fakePulumi
}

func (monitor) RegisterResource(
	_ context.Context,
	r *pulumirpc.RegisterResourceRequest,
) (*pulumirpc.RegisterResourceResponse, error) {
	return &pulumirpc.RegisterResourceResponse{Urn: r.GetType() + "::" + r.GetName()}, nil
}

func (m monitor) RegisterResourceOutputs(
	_ context.Context,
	r *pulumirpc.RegisterResourceOutputsRequest,
) (*emptypb.Empty, error) {
	text, err := protojson.Marshal(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, os.WriteFile(m.file("registered"), text, 0o600)
}

// holds reports whether the fake pulumi of an environment runs an operation under the lock.
func holds(pulumi string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(pulumi), "lock"))
	return err == nil
}
