package main

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/keel/environment"
)

// userIdentity is the user who runs keel.
type userIdentity struct {
	// name is never empty.
	name string
	// isNameless is true if the system has no entry for the user, as in containers that run under an arbitrary user id.
	isNameless bool
}

// currentUser returns the user who runs keel.
func currentUser(variable func(string) string) userIdentity {
	if u, err := user.Current(); err == nil && u.Username != "" && !isUnknown(u.Uid) {
		return userIdentity{name: u.Username}
	}
	for _, name := range []string{variable("USER"), variable("LOGNAME")} {
		if name != "" {
			return userIdentity{name, true}
		}
	}
	return userIdentity{"user-" + strconv.Itoa(os.Getuid()), true}
}

// ownerVariable names the user where many people share one system user, as in containers and on build machines.
const ownerVariable = "EVENKEEL_OWNER"

// commonNames are the system users that many people share.
var commonNames = []string{
	"root", "admin", "administrator", "user", "default", "nobody", "app", "node", "docker", "builder", "build",
	"runner", "runneradmin", "gitlab-runner", "buildkite-agent", "jenkins", "circleci", "travis", "teamcity", "vsts",
	"vsts_azpcontainer",
	"azuredevops", "containeradministrator", "vscode", "codespace", "gitpod", "coder", "jovyan", "vagrant",
	"ubuntu", "debian", "ec2-user", "azureuser", "opc", "pi",
}

// isSharedName reports whether a user name does not identify a person.
func isSharedName(name string) bool {
	name = strings.ToLower(name[strings.LastIndexByte(name, '\\')+1:]) // without the domain of Windows
	number, isNumbered := strings.CutPrefix(name, "user-")
	_, err := strconv.Atoi(number)
	return slices.Contains(commonNames, name) || isNumbered && err == nil
}

// isUnknown reports whether the system has no entry for a user id. user.Current hides that if USER and HOME are set.
func isUnknown(id string) bool {
	_, err := user.LookupId(id)
	return errors.As(err, new(user.UnknownUserIdError))
}

// userName returns the name of the user who runs keel.
func (a *app) userName() string {
	return cmp.Or(a.variable(ownerVariable), currentUser(a.variable).name)
}

// userStack returns the name of the user's own environment.
func (a *app) userStack() string {
	name := a.userName()
	return environment.NameFor(name[strings.LastIndexByte(name, '\\')+1:]) // without the domain of Windows
}

// withUser returns the environment of keel and its children with USER set: if the system has no entry for the user, Go
// programs read the name from USER and HOME.
func withUser(environ []string) []string {
	if slices.ContainsFunc(
		environ,
		func(pair string) bool { return strings.HasPrefix(pair, "USER=") && pair != "USER=" },
	) {
		return environ
	}
	u := currentUser(func(name string) string { return (&app{environ: environ}).variable(name) })
	if !u.isNameless {
		return environ
	}
	return append(slices.Clone(environ), "USER="+u.name)
}
