package environment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Summary is a summary of an environment's configuration and state.
type Summary struct {
	Name     string
	Target   string
	Lifetime Lifetime
	// Hubs are the Azure names of the hubs in the state. Resources is how many resources it has, not counting the stack
	// itself and providers.
	Hubs      []string
	Resources int
}

// Summary reads the stack's configuration and state. It runs Pulumi only if the state is not in files.
func (e *Environment) Summary(ctx context.Context) (Summary, error) {
	lifetime, err := e.Lifetime()
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Name: e.Stack, Lifetime: lifetime}
	settings, err := e.Settings()
	if err != nil {
		return Summary{}, err
	}
	s.Target = settings["target"]
	state, err := e.load(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	for _, r := range state.Resources {
		if !r.Custom || strings.HasPrefix(r.Type, "pulumi:providers:") {
			continue
		}
		s.Resources++
		if r.Type == HubType {
			s.Hubs = append(s.Hubs, path.Base(r.ID))
		}
	}
	return s, nil
}

// EnrollmentType is the type of individual enrollments in the state.
const EnrollmentType = "azure-dps:index:IndividualEnrollment"

// Declared returns the names that the program gave to the resources of a type, as the state of a file backend has them.
func (e *Environment) Declared(kind string) ([]string, error) {
	project, _, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	state, err := readState(e.stateFile(project))
	if err != nil {
		return nil, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	var names []string
	for _, r := range state.Resources {
		if r.Type == kind {
			names = append(names, r.name())
		}
	}
	return names, nil
}

// setType is the type of sets of individual enrollments in the state.
const setType = "azure-dps:index:EnrollmentSet"

// Enrollments are the individual enrollments in the state of a stack.
type Enrollments struct {
	// IDs are the registration ids of those that are separate resources, in order.
	IDs  []string
	Sets []EnrollmentSet
}

// EnrollmentSet is a resource that holds many individual enrollments.
type EnrollmentSet struct {
	// Name is the resource's name in the program, and Devices how many enrollments it has.
	Name    string
	Devices int
}

// Enrollments reads the stack's state. It runs Pulumi if the state is not in files.
func (e *Environment) Enrollments(ctx context.Context) (Enrollments, error) {
	state, err := e.load(ctx)
	if err != nil {
		return Enrollments{}, fmt.Errorf("read the enrollments of stack %q: %w", e.Stack, err)
	}
	var all Enrollments
	for _, r := range state.Resources {
		switch {
		case r.Delete:
		case r.Type == EnrollmentType:
			all.IDs = append(all.IDs, path.Base(r.ID))
		case r.Type == setType:
			var outputs struct {
				Devices map[string]any `json:"devices"`
			}
			if err := json.Unmarshal(r.Outputs, &outputs); err != nil {
				return Enrollments{}, fmt.Errorf("read the enrollment set %q: %w", r.name(), err)
			}
			all.Sets = append(all.Sets, EnrollmentSet{r.name(), len(outputs.Devices)})
		}
	}
	slices.SortFunc(all.IDs, func(a, b string) int { // device-2 before device-10
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return all, nil
}

// Stacks returns the names of the stacks in the checkout's own backend, in order.
func (f Folder) Stacks() ([]string, error) { return stacksIn(f, f.Backend()) }

// Stacks returns the stacks of the environment's backend and project with their lifetimes. A stack whose configuration
// cannot be read has an error.
func (e *Environment) Stacks(ctx context.Context) ([]Stack, error) {
	names, err := e.Names(ctx)
	if err != nil {
		return nil, err
	}
	var list []Stack
	for _, name := range names {
		other := *e
		other.Stack = name
		list = append(list, other.configured())
	}
	return list, nil
}

// configured reads the stack's lifetime from its configuration.
func (e *Environment) configured() Stack {
	s := Stack{Name: e.Stack}
	settings, err := e.Settings()
	if err != nil {
		s.Err = err
		return s
	}
	s.Configured = settings != nil
	s.Keep = settings[KeepKey] == "true"
	s.Lifetime, s.Err = e.Lifetime()
	return s
}
