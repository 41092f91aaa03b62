package main

import (
	"encoding/json"

	"github.com/rogpeppe/go-internal/testscript"
)

// administer: administer — sets the variables of `keel env --admin` for the commands that follow.
func administer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: administer")
	}
	ts.Check(ts.Exec("keel", "env", "--admin", "--json"))
	var variables map[string]string
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &variables))
	for name, value := range variables {
		ts.Setenv(name, value)
	}
}
