package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"evenkeel/dpsservice"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/environment"
)

// dataAccess is how a command that reads or moves a whole fleet uses the service APIs: its flags.
type dataAccess struct {
	entra       bool
	serviceRate string
}

// addDataAccess adds the flags.
func (a *app) addDataAccess(cmd *cobra.Command, x *dataAccess) {
	cmd.Flags().BoolVar(&x.entra, "entra", false,
		"use Microsoft Entra ID instead of the stack's keys (default where the stack has no key)")
	cmd.Flags().StringVar(&x.serviceRate, "service-rate", "1000/min",
		"most requests to the provisioning service, such as 5/s, 1000/min (Azure's limit) or unlimited")
}

// outputs are app.outputs, without the keys if the login is to be used instead.
func (x dataAccess) outputs(ctx context.Context, a *app) (outputs, *environment.Environment, error) {
	stack, e, err := a.outputs(ctx)
	if err == nil && x.entra {
		stack.ServiceConnectionString, stack.HubConnectionStrings = "", nil
		stack.credential, stack.noCredential = e.Credential(ctx)
	}
	return stack, e, err
}

// service returns a client of the stack's provisioning service that keeps to the rate.
func (x dataAccess) service(o outputs, e environment.Endpoints) (*dpsservice.Client, error) {
	limit, err := parseRate("--service-rate", x.serviceRate)
	if err != nil {
		return nil, err
	}
	options, err := o.serviceOptions(e)
	if err != nil {
		return nil, err
	}
	if limit != rate.Inf {
		options.RateLimit = max(1, int(math.Round(float64(limit)*60)))
	}
	return dpsservice.New(options)
}

// parseRate reads a rate, such as 50/s, 1000/min or unlimited. A number alone is a rate in a second.
func parseRate(flag, text string) (rate.Limit, error) {
	if text == unlimited {
		return rate.Inf, nil
	}
	number, unit, _ := strings.Cut(strings.ReplaceAll(text, " ", ""), "/")
	seconds, known := map[string]float64{"": 1, "s": 1, "min": 60, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || !(n > 0) || math.IsInf(n, 0) {
		return 0, hint.To(usageError{fmt.Errorf("%s %q is not a rate", flag, text)},
			"use a number and a unit, such as 50/s, 1000/min or %s", unlimited)
	}
	return rate.Limit(n / seconds), nil
}

// readCensus reads the enrollments and registrations of a service. Its error says which rights are missing.
func readCensus(ctx context.Context, service *dpsservice.Client, only assignment.Select) (assignment.Census, error) {
	census, err := assignment.Read(ctx, service, only)
	if errors.Is(err, dpsservice.ErrUnauthorized) {
		err = hint.To(err, "use a policy with the rights EnrollmentRead and RegistrationStatusRead, or --entra with a "+
			"role that reads the provisioning service; find out whether keys are refused: keel doctor")
	}
	return census, err
}

// findHub returns the hub of that name in the stack.
func (o outputs) findHub(name string) (hubOut, error) {
	var names []string
	for _, h := range o.Hubs {
		if h.Name == name {
			return h, nil
		}
		names = append(names, h.Name)
	}
	return hubOut{}, hint.To(usageError{fmt.Errorf("unknown hub %q", name)}, "the hubs of this environment: %s",
		strings.Join(names, ", "))
}

// nameOf returns the stack's name of the hub with a host name, or the host name of a hub that the stack does not have.
func (o outputs) nameOf(host string) string {
	for _, h := range o.Hubs {
		if hostKey(h.HostName) == hostKey(host) {
			return h.Name
		}
	}
	return host
}

// readProgress returns a function that prints now and then how many devices have been read.
func (a *app) readProgress() func(devices int) {
	said := a.now()
	return func(devices int) {
		if now := a.now(); now.Sub(said) >= progressEvery {
			said = now
			a.say("read %d registrations", devices)
		}
	}
}

// answerPatience is how long a hub waits for a device's answer to a direct method.
const answerPatience = 15 * time.Second
