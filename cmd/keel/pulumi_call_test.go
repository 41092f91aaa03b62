package main

import (
	"strings"
	"testing"
)

func TestOnlyThePulumiOfTheEnvironmentIsRecognized(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"pulumi": true, "pulumi.exe": true, "/usr/bin/pulumi": false, "pulumictl": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := isPulumi(name); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// Effects of a call.
const (
	reads    = "reads"
	changes  = "changes"  // waits for keel up and keel down to end
	operates = "operates" // changes, and stores the configuration in the stack's history
)

func TestEveryArgumentOfPulumiIsReadInOnePlace(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		kind, command, stack string
		hasOtherFolder       bool
	}{
		"up":                          {operates, "up", "", false},
		"up --yes":                    {operates, "up", "", false},
		"update --yes":                {operates, "up", "", false},
		"--color always up":           {operates, "up", "", false},
		"--non-interactive refresh":   {operates, "refresh", "", false},
		"-v 9 --logtostderr destroy":  {operates, "destroy", "", false},
		"down":                        {operates, "destroy", "", false},
		"dn -y":                       {operates, "destroy", "", false},
		"import type name id":         {operates, "import", "", false},
		"watch":                       {operates, "watch", "", false},
		"up -s other":                 {operates, "up", "other", false},
		"--stack other up":            {operates, "up", "other", false},
		"up --stack=other --yes":      {operates, "up", "other", false},
		"-sother up":                  {operates, "up", "other", false},
		"-s=other up":                 {operates, "up", "other", false},
		"up -s":                       {operates, "up", "", false},
		"up -s Not/Ours":              {operates, "up", "", false},
		"-s config up":                {operates, "up", "config", false},
		"up --config-file config":     {operates, "up", "", false},
		"up config":                   {operates, "up", "", false},
		"-C /x up":                    {operates, "up", "", true},
		"-C/x up":                     {operates, "up", "", true},
		"up --cwd /x":                 {operates, "up", "", true},
		"up --cwd=/x":                 {operates, "up", "", true},
		"-- up":                       {operates, "up", "", false},
		"state delete urn":            {changes, "state", "", false},
		"stack rm":                    {changes, "stack rm", "", false},
		"stack init up":               {changes, "stack init", "", false},
		"stack import --file f":       {changes, "stack import", "", false},
		"stack rename up":             {changes, "stack rename", "", false},
		"stack tag set a b":           {changes, "stack tag set", "", false},
		"config set up down":          {changes, "config set", "", false},
		"config set a -- -h":          {changes, "config set", "", false},
		"config set-all --plaintext":  {changes, "config set-all", "", false},
		"config rm a":                 {changes, "config rm", "", false},
		"config refresh":              {changes, "config refresh", "", false},
		"config env add e":            {changes, "config env add", "", false},
		"preview -c a=b":              {changes, "preview", "", false},
		"preview --config=a=b":        {changes, "preview", "", false},
		"-C there --color never new":  {changes, "new", "", true},
		"something-new":               {changes, "something-new", "", false},
		"":                            {reads, "", "", false},
		"--version":                   {reads, "", "", false},
		"up --help":                   {reads, "", "", false},
		"destroy -h":                  {reads, "", "", false},
		"preview":                     {reads, "preview", "", false},
		"pre --diff":                  {reads, "preview", "", false},
		"--color never preview":       {reads, "preview", "", false},
		"preview --config-file f":     {reads, "preview", "", false},
		"-v 9 preview":                {reads, "preview", "", false},
		"stack":                       {reads, "stack", "", false},
		"stack output idScope":        {reads, "stack output", "", false},
		"stack export --show-secrets": {reads, "stack export", "", false},
		"stack ls --json":             {reads, "stack list", "", false},
		"stack list":                  {reads, "stack list", "", false},
		"-s other stack history":      {reads, "stack history", "other", false},
		"stack hist":                  {reads, "stack history", "", false},
		"stack --show-urns":           {reads, "stack", "", false},
		"stack tag ls":                {reads, "stack tag list", "", false},
		"config":                      {reads, "config", "", false},
		"config get a":                {reads, "config get", "", false},
		"config get up":               {reads, "config get", "", false},
		"config --json":               {reads, "config", "", false},
		"config env ls":               {reads, "config env list", "", false},
		"cancel --yes":                {reads, "cancel", "", false},
		"whoami":                      {reads, "whoami", "", false},
		"version":                     {reads, "version", "", false},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			call := readPulumiCall(strings.Fields(line))
			kind := reads
			switch {
			case call.isOperation() && !call.changesStack():
				t.Error("got an operation that changes nothing")
			case call.isOperation():
				kind = operates
			case call.changesStack():
				kind = changes
			}
			if kind != want.kind || call.command != want.command || call.stack != want.stack ||
				call.hasOtherFolder != want.hasOtherFolder {
				t.Errorf("got %s, %+v, want %+v", kind, call, want)
			}
		})
	}
}

func TestAnUpdateByAPlanIsFound(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"up --yes --plan p.json": true, "up --plan=p.json": true, "-s other up --plan p.json": true,
		"up --yes": false, "preview --save-plan p.json": false, "preview --save-plan=p.json": false,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			if got := readPulumiCall(strings.Fields(line)).followsPlan; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
