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

// who is a user as the system and the environment know them.
type who struct {
	// name is never empty.
	name string
	// isNameless says that the system has no entry for the user, as in containers that run under any number.
	isNameless bool
}

// look finds out whom an environment belongs to.
func look(variable func(string) string) who {
	if u, err := user.Current(); err == nil && u.Username != "" && !isUnknown(u.Uid) {
		return who{name: u.Username}
	}
	for _, name := range []string{variable("USER"), variable("LOGNAME")} {
		if name != "" {
			return who{name, true}
		}
	}
	return who{"user-" + strconv.Itoa(os.Getuid()), true}
}

// ownerVariable names the user where the system's name is that of many, as in containers and on build machines.
const ownerVariable = "EVENKEEL_OWNER"

// commonNames are those under which systems, images and services run the programs of many people.
var commonNames = []string{
	"root", "admin", "administrator", "user", "default", "nobody", "app", "node", "docker", "builder", "build",
	"runner", "runneradmin", "gitlab-runner", "buildkite-agent", "jenkins", "circleci", "travis", "teamcity", "vsts", "vsts_azpcontainer",
	"azuredevops", "containeradministrator", "vscode", "codespace", "gitpod", "coder", "jovyan", "vagrant",
	"ubuntu", "debian", "ec2-user", "azureuser", "opc", "pi",
}

// isCommon reports whether a user name says nothing about who that is.
func isCommon(name string) bool {
	name = strings.ToLower(name[strings.LastIndexByte(name, '\\')+1:]) // without the domain of Windows
	number, isNumbered := strings.CutPrefix(name, "user-")
	_, err := strconv.Atoi(number)
	return slices.Contains(commonNames, name) || isNumbered && err == nil
}

// isUnknown reports whether the system has no entry for a user. user.Current does not say so where USER and HOME are
// set.
func isUnknown(id string) bool {
	_, err := user.LookupId(id)
	return errors.As(err, new(user.UnknownUserIdError))
}

// userName is the name of who runs keel.
func (a *app) userName() string {
	return cmp.Or(a.variable(ownerVariable), look(a.variable).name)
}

// userStack is the name of the user's own environment.
func (a *app) userStack() string {
	name := a.userName()
	return environment.NameFor(name[strings.LastIndexByte(name, '\\')+1:]) // without the domain of Windows
}

// withUser is the environment of keel and its children with USER in it: without an entry of the system, Go programs
// find out from that and from HOME who runs them.
func withUser(environ []string) []string {
	if slices.ContainsFunc(
		environ,
		func(pair string) bool { return strings.HasPrefix(pair, "USER=") && pair != "USER=" },
	) {
		return environ
	}
	u := look(func(name string) string { return (&app{environ: environ}).variable(name) })
	if !u.isNameless {
		return environ
	}
	return append(slices.Clone(environ), "USER="+u.name)
}
