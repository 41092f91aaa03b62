package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/keel/environment"
)

// operationsPerMinute is Azure's limit of service operations of a provisioning service ("IoT Hub DPS limits").
const operationsPerMinute = 1000

// addRateLimit adds the flag that limits the requests to each service.
func addRateLimit(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "rate-limit", operationsPerMinute,
		"requests a minute, to the provisioning service and to each hub; 0 for no limit")
}

// calls are how many requests an answer took, retries included.
type calls struct {
	Service int `json:"provisioningService"`
	Hubs    int `json:"hubs"`
}

// String formats the calls as a sentence.
func (c calls) String() string {
	plural := "s"
	if c.Service+c.Hubs == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d request%s: %d to the provisioning service, %d to hubs", c.Service+c.Hubs, plural, c.Service,
		c.Hubs)
}

// search looks for devices with one client for each service.
type search struct {
	stack   outputs
	e       environment.Endpoints
	service *dpsservice.Client
	hubs    map[string]*hub.Client // by hostKey
}

func (o outputs) newSearch(e environment.Endpoints) (*search, error) {
	client, err := o.service(e)
	if err != nil {
		return nil, err
	}
	return &search{o, e, client, map[string]*hub.Client{}}, nil
}

func (s *search) close() {
	s.service.Close()
	for _, client := range s.hubs {
		client.Close()
	}
}

// calls returns how many requests there have been.
func (s *search) calls() calls {
	c := calls{Service: s.service.Requests()}
	for _, client := range s.hubs {
		c.Hubs += client.Requests()
	}
	return c
}

// hub returns the client of one of the stack's hubs, or nil for another hub.
func (s *search) hub(host string) (*hub.Client, error) {
	if client := s.hubs[hostKey(host)]; client != nil {
		return client, nil
	}
	client, err := s.stack.hub(s.e, host)
	if client != nil && err == nil {
		s.hubs[hostKey(host)] = client
	}
	return client, err
}

// groups lists the enrollment groups of the service.
func (s *search) groups(ctx context.Context) ([]string, error) {
	var ids []string
	for group, err := range s.service.Groups().Query(ctx, "SELECT *", maxPage) {
		if err != nil {
			return nil, fmt.Errorf("list enrollment groups: %w", err)
		}
		ids = append(ids, group.ID)
	}
	return ids, nil
}
