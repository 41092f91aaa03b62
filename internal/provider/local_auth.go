package provider

import "strings"

// localAuthAdvice says what to do when the service accepts no key at all. Its answer to a wrong key is the same, so
// only the management API can show which of the two it is.
func (c *Config) localAuthAdvice() string {
	given := "policyName and key"
	if c.ConnectionString != nil {
		given = "connectionString"
	}
	name, _, _ := strings.Cut(c.host(), ".")
	return "If the service has disableLocalAuth (az iot dps show --name " + name +
		" --query properties.disableLocalAuth), no key works: " +
		"remove " + given +
		" and set host, so that the provider logs in with Microsoft Entra ID; the identity needs the role " +
		"Device Provisioning Service Data Contributor"
}
