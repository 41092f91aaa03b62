package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// addCI adds the flag --ci, which names the environment after the pull request that is being built.
func addCI(cmd *cobra.Command, ci *bool) {
	cmd.Flags().BoolVar(ci, "ci", false,
		"name the environment after the pull request that is being built, unless NAME or --stack names it")
}

// takeNameInCI is named, but with ci it names the environment after the pull request if nothing else names it.
func (a *app) takeNameInCI(args []string, ci bool) error {
	if !ci || len(args) > 0 || a.stack != a.fallbackStack {
		return a.takeName(args)
	}
	number, err := a.pullRequest()
	if err != nil {
		return err
	}
	a.stack = environment.NameFor("pr-" + number)
	return checkName(a.stack)
}

// pullRequests are the variables of build services that hold the number of the pull request, or the URL that ends with
// it.
var pullRequests = []string{
	"CI_MERGE_REQUEST_IID", // GitLab
	// Azure Pipelines, of GitHub and of Azure Repos
	"SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID",
	"BITBUCKET_PR_ID", "CHANGE_ID" /* Jenkins */, "CIRCLE_PULL_REQUEST", "BUILDKITE_PULL_REQUEST", "DRONE_PULL_REQUEST",
	"TRAVIS_PULL_REQUEST",
}

// pullRequest returns the number of the pull request that is being built.
func (a *app) pullRequest() (string, error) {
	// GitHub's ref is that of the target branch once the pull request has been merged, so the event is read first.
	var event struct {
		PullRequest struct {
			Number int `json:"number"`
		} `json:"pull_request"`
	}
	if file := a.variable("GITHUB_EVENT_PATH"); file != "" {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &event)
		}
		if err != nil {
			return "", fmt.Errorf("read the event of GITHUB_EVENT_PATH: %w", err)
		}
	}
	candidates := []string{strconv.Itoa(event.PullRequest.Number)}
	if ref, ok := strings.CutPrefix(a.variable("GITHUB_REF"), "refs/pull/"); ok {
		number, _, _ := strings.Cut(ref, "/")
		candidates = append(candidates, number)
	}
	for _, name := range pullRequests {
		candidates = append(candidates, path.Base(a.variable(name)))
	}
	for _, text := range candidates {
		if number, err := strconv.Atoi(text); err == nil && number > 0 {
			return text, nil
		}
	}
	return "", hint.To(usageError{errors.New("--ci: this is not a build of a pull request, or the CI service is " +
		"unknown to keel")}, "name the environment: keel up NAME --ci")
}

// writeOutputs writes the environment's name and its outputs, secret ones masked: on GitHub as lines for the steps that
// follow, and as JSON to file, unless that is "".
func (a *app) writeOutputs(ctx context.Context, e *environment.Environment, file string, ci bool) error {
	steps, variables := a.variable("GITHUB_OUTPUT"), a.variable("GITHUB_ENV")
	if !ci {
		steps, variables = "", ""
	}
	if cmp.Or(file, steps, variables) == "" {
		return nil
	}
	outputs, err := e.Outputs(ctx, false)
	if err != nil {
		return err
	}
	if file != "" {
		text, err := json.MarshalIndent(map[string]any{"environment": e.Stack, "outputs": outputs}, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the outputs: %w", err)
		}
	}
	lines := "environment=" + e.Stack + "\n"
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		value, err := oneLine(outputs[name])
		if err != nil {
			return fmt.Errorf("write the output %s: %w", name, err)
		}
		lines += name + "=" + value + "\n"
	}
	return errors.Join(appendTo(steps, lines), appendTo(variables, "EVENKEEL_STACK="+e.Stack+"\n"))
}

// oneLine formats an output for a line: a text of one line as it is, anything else as JSON.
func oneLine(output json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(output, &text) == nil && !strings.ContainsAny(text, "\r\n") {
		return text, nil
	}
	var compact bytes.Buffer
	err := json.Compact(&compact, output)
	return compact.String(), err
}

// appendTo appends text to a file; the name "" does nothing.
func appendTo(name, text string) error {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the outputs: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the outputs: %w", err)
	}
	return nil
}
