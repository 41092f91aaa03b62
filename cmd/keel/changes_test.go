package main

import (
	"strings"
	"testing"
)

func TestTheStackThatPulumiIsToldIsFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"up": "", "up -s other": "other", "--stack other up": "other", "up --stack=other --yes": "other", "up -s": "", "up -s Not/Ours": "",
	} {
		if got := toldStack(strings.Fields(line)); got != want {
			t.Errorf("pulumi %s: got %q, want %q", line, got, want)
		}
	}
}

func TestAnUpdateByAPlanIsFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"up --yes --plan p.json": true, "up --plan=p.json": true, "-s other up --plan p.json": true,
		"up --yes": false, "preview --save-plan p.json": false, "preview --save-plan=p.json": false,
	} {
		if got := followsPlan(strings.Fields(line)); got != want {
			t.Errorf("pulumi %s: got %v, want %v", line, got, want)
		}
	}
}

func TestCommandsOfPulumiThatOnlyReadAreToldFromThoseThatChange(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"up": true, "up --yes": true, "destroy": true, "refresh --yes": true, "import t n i": true, "state delete urn": true, "watch": true,
		"stack rm": true, "stack init x": true, "stack import --file f": true, "stack rename y": true, "stack tag set a b": true, "config set a b": true,
		"config set-all --plaintext a=b": true, "config rm a": true, "config refresh": true, "preview -c a=b": true, "preview --config=a=b": true,
		"-s other up": true, "--cwd there up": true, "-C there --color never stack rm": true, "something-new": true,

		"": false, "preview": false, "pre --diff": false, "--color never preview --expect-no-changes": false, "-v 9 preview": false, "stack": false,
		"stack output": false, "stack output idScope": false, "stack export --show-secrets": false, "stack ls --json": false, "-s other stack history": false,
		"stack --show-urns": false, "stack tag ls": false, "config": false, "config get a": false, "config --json": false, "cancel --yes": false,
		"whoami": false, "version": false, "up --help": false, "destroy -h": false, "--version": false,
	} {
		if got := changesStack(strings.Fields(line)); got != want {
			t.Errorf("pulumi %s: got %v, want %v", line, got, want)
		}
	}
}
