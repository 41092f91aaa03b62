package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// plugin is the provider's process, called as Pulumi's engine calls it.
type plugin struct {
	cmd        *exec.Cmd
	connection *grpc.ClientConn
	client     pulumirpc.ResourceProviderClient
}

// noEngine is the address to which the provider sends its messages, which are not read.
const noEngine = "127.0.0.1:1"

// maxMessage is the largest message in bytes that Pulumi's engine accepts.
const maxMessage = 400 << 20

// startPlugin starts the provider and configures it for the service of the fleet.
func startPlugin(ctx context.Context, folder string, f *fleet, caFile string) (*plugin, error) {
	p := &plugin{cmd: exec.CommandContext(ctx, built(folder, providerName), noEngine)}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		_, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("read the provider's port: %w", err)
	}
	p.connection, err = grpc.NewClient("127.0.0.1:"+strings.TrimSpace(line),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		p.stop()
		return nil, err
	}
	p.client = pulumirpc.NewResourceProviderClient(p.connection)
	config, err := structpb.NewStruct(map[string]any{
		"host": f.access.Host, "policyName": f.access.PolicyName, "key": f.access.Key, "endpoint": "https://" + f.data,
		"caFile": caFile, "rateLimit": 0,
	})
	if err == nil {
		_, err = p.client.Configure(ctx, &pulumirpc.ConfigureRequest{Args: config, AcceptSecrets: true,
			AcceptResources: true})
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("configure the provider: %w", err)
	}
	return p, nil
}

func (p *plugin) stop() {
	if p.connection != nil {
		_ = p.connection.Close()
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}

// createSet creates enrollments as one set and returns the number per second.
func (p *plugin) createSet(ctx context.Context, prefix string, count int) (float64, error) {
	inputs, err := structpb.NewStruct(map[string]any{"manifestText": manifest(prefix, count)})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	_, err = p.client.Create(ctx, &pulumirpc.CreateRequest{
		Urn: "urn:pulumi:local::bench::azure-dps:index:EnrollmentSet::" + prefix, Name: prefix,
		Type: "azure-dps:index:EnrollmentSet", Properties: inputs,
	})
	if err != nil {
		return 0, fmt.Errorf("create a set of %d: %w", count, err)
	}
	return float64(count) / time.Since(start).Seconds(), nil
}

// manifest returns a CSV manifest of devices whose keys the provider creates.
func manifest(prefix string, count int) string {
	var b strings.Builder
	b.WriteString("registrationId\n")
	for i := range count {
		fmt.Fprintf(&b, "%s-%d\n", prefix, i)
	}
	return b.String()
}
