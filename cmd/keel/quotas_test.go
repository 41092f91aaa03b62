package main

import (
	"errors"
	"testing"

	"evenkeel/emulator"
)

func TestQuotasAreReadFromPairs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pairs   []string
		want    quotas
		text    string
		refused bool
	}{
		"none": {nil, quotas{}, "", false},
		"all": {[]string{"services=10", "hubs=50", "freeHubs=1"}, quotas{50, 1, 10},
			"hubs=50,freeHubs=1,services=10", false},
		"without end": {[]string{"hubs=unlimited"}, quotas{Hubs: -1}, "hubs=unlimited", false},
		"no number":   {[]string{"hubs=1", "services=many"}, quotas{}, "", true},
		"no room":     {[]string{"hubs=0"}, quotas{}, "", true},
		"negative":    {[]string{"hubs=-1"}, quotas{}, "", true},
		"unknown":     {[]string{"devices=1"}, quotas{}, "", true},
		"no value":    {[]string{"hubs"}, quotas{}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseQuotas(tc.pairs)
			if got != tc.want || got.String() != tc.text || errors.Is(err, errUsage) != tc.refused {
				t.Errorf("%s: got %+v, %q, %v; want %+v, %q, refused: %v", name, got, got, err, tc.want, tc.text,
					tc.refused)
			}
		})
	}
}

func TestRememberedSettingsReachTheEmulator(t *testing.T) {
	t.Parallel()
	var got emulator.Options
	if err := (emulatorSettings{Seed: "/seed.json", AzureLimits: true,
		Quotas: quotas{Hubs: 2, Services: -1}}).apply(&got); err != nil {
		t.Fatal(err)
	}
	if want := (emulator.Quotas{Hubs: 2, Services: -1}); got.Seed != "/seed.json" || !got.AzureLimits ||
		got.Quotas != want {
		t.Errorf("got seed %q, limits %v, quotas %+v, want them as they were remembered", got.Seed, got.AzureLimits,
			got.Quotas)
	}
}
