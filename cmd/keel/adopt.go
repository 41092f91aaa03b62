package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/adopt"
)

// adoptFlags are the flags of keel adopt.
type adoptFlags struct {
	connection, host, endpoint, caFile string
	serviceID, certificates, webhooks  string
	options                            adopt.Options
}

func newAdopt(a *app) *cobra.Command {
	var f adoptFlags
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Write a Pulumi program for a provisioning service that exists",
		Long: "Read a provisioning service and write a Pulumi program in YAML that imports its enrollments and " +
			"enrollment groups.\n" +
			"Nothing is changed at the service. After the first pulumi up in the folder, pulumi preview shows no " +
			"change.\n\n" +
			"The service is that of --connection-string, or of IOTHUB_DPS_CONNECTION_STRING, or --host with the " +
			"Microsoft Entra ID\n" +
			"login of azure-native. With more than --set-above individual enrollments, an EnrollmentSet with a " +
			"manifest declares them.\n" +
			"With --service-id, the links to hubs are declared too.\n\n" +
			"The service does not return certificates and the queries of webhooks: --certificates and --webhooks name " +
			"files that have them.\n" +
			"Entries that cannot be declared without are listed, and nothing is written; --leave-out leaves them " +
			"out.\n" +
			"Keys stay at the service, unless --keys asks for those of single enrollments and groups. Secrets are " +
			"written encrypted\n" +
			"with PULUMI_CONFIG_PASSPHRASE (or _FILE) as settings of the stack, or not at all.\n\n" +
			"An interrupted command continues when it runs again.",
		Example: "  keel adopt --to fleet\n  keel adopt --to fleet-as-a-set --set-above 0 --json\n  keel adopt " +
			"--to fleet --host dps-1.azure-devices-provisioning.net",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("stack") {
				f.options.Stack = a.stack
			}
			return a.adopt(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.connection, "connection-string", "",
		"connection string of the service, with the right EnrollmentRead (or IOTHUB_DPS_CONNECTION_STRING, which "+
			"other users of this machine cannot see)")
	flags.StringVar(&f.host, "host", "", "host name of the service, to log in with Microsoft Entra ID")
	flags.StringVar(&f.endpoint, "endpoint", "",
		"https address to connect to instead of the host, as for the emulator; with the variable of the "+
			"connection string also EVENKEEL_DATA_ENDPOINT")
	flags.StringVar(&f.caFile, "ca-file", "",
		"file of the authorities to trust instead of the system's, as for the emulator; with the variable "+
			"also EVENKEEL_CA_FILE")
	flags.StringVar(&f.options.Folder, "to", "", "the folder of the program: new, empty, or of an unfinished adoption")
	flags.StringVar(&f.options.Project, "project", "", "the name of the project (default: that of the service)")
	flags.IntVar(&f.options.RateLimit, "rate", 1000, "requests a minute at most, 0 for no limit; Azure allows 1000")
	flags.IntVar(&f.options.SetAbove, "set-above", adopt.DefaultSetAbove,
		"with more individual enrollments than this, declare them as a set with a manifest")
	flags.BoolVar(&f.options.WithKeys, "keys", false,
		"declare the symmetric keys of single enrollments and groups, encrypted")
	flags.StringVar(&f.certificates, "certificates", "", "folder of the certificates in use, in any file names")
	flags.StringVar(&f.webhooks, "webhooks", "", "file with the whole addresses of webhooks, one a line")
	flags.BoolVar(&f.options.LeaveOut, "leave-out", false, "leave out what cannot be declared completely")
	flags.StringVar(&f.serviceID, "service-id", "",
		"resource id of the service, to read its links from Azure Resource Manager")
	flags.BoolVar(&f.options.Restart, "restart", false, "do not continue an unfinished adoption: read everything again")
	a.addJSON(cmd)
	return cmd
}

func (a *app) adopt(ctx context.Context, f adoptFlags) error {
	o := f.options
	if o.Folder == "" {
		return hint.To(usageError{errors.New("--to is missing: the folder of the program")},
			"for example: keel adopt --to fleet")
	}
	if o.RateLimit < 0 || o.SetAbove < 0 {
		return usageError{errors.New("--rate and --set-above must not be negative")}
	}
	if f.connection != "" && f.host != "" {
		return usageError{errors.New("use either --connection-string or --host")}
	}
	if o.Host = f.host; o.Host == "" {
		o.ConnectionString = cmp.Or(f.connection, a.variable("IOTHUB_DPS_CONNECTION_STRING"))
	}
	if o.Host == "" && o.ConnectionString == "" {
		return hint.To(usageError{errors.New("no service is given: use --connection-string or --host")},
			`eval "$(keel env --admin)" selects the service of the environment`)
	}
	if err := a.completeAdoption(ctx, &o, f); err != nil {
		return err
	}
	o.Report = func(text string) { a.say("%s", text) }
	result, err := adopt.Run(ctx, o)
	if incomplete := (*adopt.IncompleteError)(nil); errors.As(err, &incomplete) {
		return hint.To(err, "give what is missing with --certificates or --webhooks and run the command again, or "+
			"leave these entries out with --leave-out")
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(result)
	}
	a.printAdoption(result)
	return nil
}

// completeAdoption reads the files that the flags name, logs in, and reads the links.
func (a *app) completeAdoption(ctx context.Context, o *adopt.Options, f adoptFlags) error {
	var err error
	o.Endpoint, o.CAFile = f.endpoint, f.caFile
	if f.connection == "" && f.host == "" { // the address belongs to the connection string beside it
		o.Endpoint = cmp.Or(o.Endpoint, a.variable("EVENKEEL_DATA_ENDPOINT"))
		o.CAFile = cmp.Or(o.CAFile, a.variable("EVENKEEL_CA_FILE"))
	}
	if o.CAFile != "" {
		// The provider runs in the folder of the program.
		if o.CAFile, err = filepath.Abs(o.CAFile); err != nil {
			return fmt.Errorf("adopt: %w", err)
		}
	}
	if o.Roots, err = adopt.ReadRoots(o.CAFile); err != nil {
		return err
	}
	if o.Passphrase, err = a.passphrase(); err != nil {
		return err
	}
	if f.certificates != "" {
		if o.Certificates, err = adopt.ReadCertificates(f.certificates); err != nil {
			return err
		}
	}
	if f.webhooks != "" {
		if o.Webhooks, err = adopt.ReadWebhooks(f.webhooks); err != nil {
			return err
		}
	}
	if o.Host == "" && f.serviceID == "" {
		return nil
	}
	account, err := adopt.Login(a.variable, o.Roots)
	if err != nil {
		return err
	}
	o.Credential = account
	if f.serviceID == "" {
		return nil
	}
	host := o.Host
	if host == "" {
		access, err := dpsservice.ParseConnectionString(o.ConnectionString)
		if err != nil {
			return fmt.Errorf("adopt: read the connection string: %w", err)
		}
		host = access.Host
	}
	o.ServiceID = strings.TrimSuffix(f.serviceID, "/")
	o.Links, err = adopt.ReadLinks(ctx, account, o.ServiceID, host)
	return err
}

// passphrase returns the passphrase of Pulumi's secrets, "" without one.
func (a *app) passphrase() (string, error) {
	if phrase := a.variable("PULUMI_CONFIG_PASSPHRASE"); phrase != "" {
		return phrase, nil
	}
	file := a.variable("PULUMI_CONFIG_PASSPHRASE_FILE")
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("adopt: read the passphrase: %w", err)
	}
	return strings.TrimSpace(string(content)), nil // as Pulumi reads it
}

func (a *app) printAdoption(r adopt.Result) {
	fmt.Fprintf(a.stdout, "%-24s %s\n", "service", r.Host)
	for _, row := range []struct {
		what  string
		count int
	}{
		{"enrollments", r.Enrollments}, {"enrollments in sets", r.InSets}, {"enrollment groups", r.Groups},
		{"linked hubs", r.LinkedHubs}, {"left out", len(r.LeftOut)},
	} {
		fmt.Fprintf(a.stdout, "%-24s %d\n", row.what, row.count)
	}
	for _, one := range r.LeftOut {
		a.say("left out: %s %s: %s", one.Kind, one.ID, one.Reason)
	}
	a.say("wrote %s to the folder %s; to import everything:", strings.Join(r.Files, ", "), r.Folder)
	provider := ""
	if r.HasSecrets { // the settings are encrypted so, whatever the backend's default is
		provider = " --secrets-provider passphrase"
	}
	a.say("  cd %s && pulumi stack init %s%s", quote(r.Folder), r.Stack, provider)
	if r.NeedsAccess {
		a.say("  pulumi config set --secret azure-dps:connectionString")
	}
	a.say("  pulumi preview   # every line must be an import")
	a.say("  pulumi up")
}
