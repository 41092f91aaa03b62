// Package adopt writes a Pulumi program for a provisioning service that exists: its individual enrollments, its
// enrollment groups and, if asked, its linked hubs. The program imports all of them, and the service is not changed.
//
// It does not run Pulumi, and does not declare the provisioning service itself or its hubs.
//
// A folder holds one adoption. While it is unfinished, what was read is in a subfolder, so that another run continues
// it; see journal.
package adopt

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// DefaultSetAbove is the number of individual enrollments up to which each is a resource.
const DefaultSetAbove = 50

// Options select a provisioning service and what is written.
type Options struct {
	// ConnectionString gives access by a shared access policy. If it is empty, Host selects the service.
	ConnectionString string
	Host             string
	// Credential gets tokens of Microsoft Entra ID, if there is no connection string.
	Credential azcore.TokenCredential
	// Endpoint is the https URL to dial instead of the host, and CAFile names the authorities to trust; "" for neither.
	Endpoint, CAFile string
	Roots            *x509.CertPool
	// RateLimit is the maximum number of requests a minute; 0 for no limit.
	RateLimit int

	// Folder is where the program is written. It must be empty, missing, or hold an unfinished adoption of the service.
	Folder string
	// Project and Stack are the names of the Pulumi project and of the stack whose settings are written.
	Project, Stack string
	// SetAbove is the number of individual enrollments above which they become sets with manifests.
	SetAbove int
	// Passphrase encrypts the settings of the stack; "" writes no secret.
	Passphrase string
	// WithKeys declares the symmetric keys of the enrollments and groups that are single resources.
	WithKeys bool
	// Certificates are the certificates that may be in use, since the service returns only thumbprints.
	Certificates []*x509.Certificate
	// Webhooks are whole addresses of webhooks, since the service masks their queries.
	Webhooks []string
	// LeaveOut leaves out what cannot be declared completely. Otherwise that is an error.
	LeaveOut bool
	// Links are the links of the service to hubs, as read from Azure Resource Manager, and ServiceID its resource id.
	ServiceID string
	Links     []hublink.Link
	// Restart reads again what an unfinished adoption has read.
	Restart bool
	// Report receives lines of progress.
	Report func(text string)
	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// PageSize is the requested size of a page; 0 for 1,000.
	PageSize int
}

// Result is what an adoption wrote.
type Result struct {
	Folder  string `json:"folder"`
	Host    string `json:"serviceHost"`
	Project string `json:"project"`
	Stack   string `json:"stack"`
	// Enrollments are individual enrollments as single resources, InSets those in sets.
	Enrollments int          `json:"enrollments"`
	InSets      int          `json:"enrollmentsInSets"`
	Sets        int          `json:"enrollmentSets"`
	Groups      int          `json:"enrollmentGroups"`
	LinkedHubs  int          `json:"linkedHubs"`
	LeftOut     []Incomplete `json:"leftOut,omitempty"`
	Keys        int          `json:"keys"`
	Resumed     bool         `json:"resumed"`
	Files       []string     `json:"files"`
	NeedsAccess bool         `json:"needsConnectionString"`
	// HasSecrets is true if the settings of the stack contain secrets, encrypted with the passphrase.
	HasSecrets bool `json:"hasSecrets"`
}

// Incomplete is an entry that cannot be declared with what the service returns.
type Incomplete struct {
	// Kind is "enrollment", "group" or "link".
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// IncompleteError lists entries that cannot be declared. Nothing was written for any entry.
type IncompleteError struct{ Entries []Incomplete }

// shown bounds how many entries an error lists.
const shown = 10

func (e *IncompleteError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "adopt: %d entries cannot be declared with what the service returns, and nothing was written:",
		len(e.Entries))
	for _, one := range e.Entries[:min(shown, len(e.Entries))] {
		fmt.Fprintf(&text, "\n%s %s: %s", one.Kind, one.ID, one.Reason)
	}
	if more := len(e.Entries) - shown; more > 0 {
		fmt.Fprintf(&text, "\nand %d more", more)
	}
	return text.String()
}

// Run reads the service and writes the program. It sends no request that changes the service. If it is interrupted,
// another run with the same folder continues.
func Run(ctx context.Context, o Options) (Result, error) {
	o.complete()
	access, err := o.access()
	if err != nil {
		return Result{}, err
	}
	if o.WithKeys && o.Passphrase == "" {
		return Result{}, hint.To(errors.New("adopt: keys are only written encrypted, and there is no passphrase"),
			"set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, with which Pulumi decrypts them")
	}
	client, err := dpsservice.New(dpsservice.Options{Host: access.Host, PolicyName: access.PolicyName, Key: access.Key,
		Credential: o.Credential, Endpoint: o.Endpoint, Roots: o.Roots, RateLimit: o.RateLimit})
	if err != nil {
		return Result{}, fmt.Errorf("adopt: %w", err)
	}
	defer client.Close()
	box, err := newBox(o.Passphrase)
	if err != nil {
		return Result{}, err
	}
	j, err := openJournal(o, access.Host)
	if err != nil {
		return Result{}, err
	}
	defer j.close()
	r := reader{Options: o, client: client, journal: j, box: box}
	found, err := r.all(ctx)
	if err != nil {
		return Result{}, err
	}
	w := newWriter(o, access, box, found)
	if err := w.resources(); err != nil {
		return Result{}, err
	}
	result, err := w.write()
	if err != nil {
		return Result{}, err
	}
	result.Resumed = j.resumed
	return result, j.finish()
}

func (o *Options) complete() {
	o.Folder = filepath.Clean(o.Folder)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(string) {}
	}
	o.PageSize = cmp.Or(o.PageSize, 1000)
	o.Stack = cmp.Or(o.Stack, "main")
}

// access returns the host, and the policy if there is a connection string.
func (o *Options) access() (dpsservice.Access, error) {
	access := dpsservice.Access{Host: o.Host}
	if o.ConnectionString != "" {
		var err error
		if access, err = dpsservice.ParseConnectionString(o.ConnectionString); err != nil {
			return access, fmt.Errorf("adopt: read the connection string: %w", err)
		}
		o.Credential = nil
	}
	access.Host = strings.ToLower(access.Host)
	if faults := enrollment.CheckHost("host", access.Host); len(faults) > 0 {
		return access, fmt.Errorf("adopt: %w", faults[0])
	}
	o.Project = cmp.Or(o.Project, projectName(access.Host))
	return access, nil
}

// projectName returns the name of the provisioning service, which is valid as that of a project.
func projectName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// disk writes the program.
var disk = durable.OS
