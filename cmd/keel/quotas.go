package main

import (
	"fmt"
	"strconv"
	"strings"

	"evenkeel/internal/hint"
)

// unlimited is the value of a quota without a limit.
const unlimited = "unlimited"

// quotas are how many resources the emulated subscription may have, as in emulator.Quotas: zero means Azure's default,
// a negative value no limit.
type quotas struct {
	Hubs     int `json:"hubs,omitempty"`
	FreeHubs int `json:"freeHubs,omitempty"`
	Services int `json:"services,omitempty"`
}

// named returns the quotas with their names on the command line, in the order in which they are printed.
func (q *quotas) named() []namedQuota {
	return []namedQuota{{"hubs", &q.Hubs}, {"freeHubs", &q.FreeHubs}, {"services", &q.Services}}
}

type namedQuota struct {
	name  string
	value *int
}

// parseQuotas parses pairs such as hubs=50. Quotas that are not named are Azure's.
func parseQuotas(pairs []string) (quotas, error) {
	var q quotas
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(text)
		if text == unlimited {
			n, err = -1, nil
		} else if err == nil && n < 1 {
			err = strconv.ErrRange
		}
		known := false
		for _, quota := range q.named() {
			if quota.name == name {
				*quota.value, known = n, true
			}
		}
		if !known || err != nil {
			return quotas{}, hint.To(usageError{
				fmt.Errorf("--quota %q: want hubs, freeHubs or services, and a number from 1 or %q", pair, unlimited)},
				"for example: --quota hubs=2,services=1")
		}
	}
	return q, nil
}

// String formats the quotas as the command line takes them, without those that are Azure's.
func (q quotas) String() string {
	var pairs []string
	for _, quota := range q.named() {
		switch n := *quota.value; {
		case n < 0:
			pairs = append(pairs, quota.name+"="+unlimited)
		case n > 0:
			pairs = append(pairs, quota.name+"="+strconv.Itoa(n))
		}
	}
	return strings.Join(pairs, ",")
}
