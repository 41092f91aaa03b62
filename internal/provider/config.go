package provider

import "github.com/pulumi/pulumi-go-provider/infer"

// Config is the provider's configuration. All of it may be absent: SharedAccessKey needs none.
type Config struct {
	ConnectionString *string `pulumi:"connectionString,optional" provider:"secret"`
	Host             *string `pulumi:"host,optional"`
	PolicyName       *string `pulumi:"policyName,optional"`
	Key              *string `pulumi:"key,optional" provider:"secret"`
	Endpoint         *string `pulumi:"endpoint,optional"`
	CAFile           *string `pulumi:"caFile,optional"`
	RateLimit        *int    `pulumi:"rateLimit,optional"`
}

// Annotate describes the configuration in the schema.
func (c *Config) Annotate(an infer.Annotator) {
	an.Describe(&c.ConnectionString, "Connection string of the provisioning service: `HostName=…;SharedAccessKeyName=…;SharedAccessKey=…`. Instead of `host`, `policyName` and `key`.")
	an.Describe(&c.Host, "Service host name of the provisioning service, `{name}.azure-devices-provisioning.net`. Another host replaces every enrollment.")
	an.Describe(&c.PolicyName, "Name of the shared access policy to sign with. It needs the right EnrollmentWrite, which includes reading.")
	an.Describe(&c.Key, "A key of that policy, base64. Another key replaces nothing.")
	an.Describe(&c.Endpoint, "Where to reach the host instead of by its name, such as `https://127.0.0.1:8443` for an emulator. Names in requests, tokens and TLS stay those of the host.")
	an.Describe(&c.CAFile, "File of the certificate authorities (PEM) to trust instead of the system's.")
	an.Describe(&c.RateLimit, "Requests a minute at most; 1000, the service's own limit, when left out, and 0 for no limit.")
}
