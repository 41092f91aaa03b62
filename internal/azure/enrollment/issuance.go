package enrollment

import "regexp"

// The forms of names of Azure Device Registry. Source: service API 2026-11-01, IndividualEnrollment and
// EnrollmentGroup.
var (
	namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$`)
	authorityPattern = regexp.MustCompile(`^[0-9a-zA-Z][a-zA-Z0-9-]{2,62}$`)
)

// CheckNamespace checks the name of a namespace of Azure Device Registry.
func CheckNamespace(path, name string) []Fault {
	if !namespacePattern.MatchString(name) {
		return fault(path, "%s is not the name of a namespace: use 3 to 64 lower-case letters, digits and hyphens, "+
			"beginning and ending with a letter or digit", Quote(name))
	}
	return nil
}

// CheckIssuingAuthority checks the name of a certificate authority of a namespace.
func CheckIssuingAuthority(path, name string) []Fault {
	return checkAuthority(path, "a certificate authority", name)
}

// CheckCertificatePolicy checks the name of a certificate policy of an authority.
func CheckCertificatePolicy(path, name string) []Fault {
	return checkAuthority(path, "a certificate policy", name)
}

func checkAuthority(path, what, name string) []Fault {
	if !authorityPattern.MatchString(name) {
		return fault(path, "%s is not the name of %s: use 3 to 63 letters, digits and hyphens, beginning with a "+
			"letter or digit", Quote(name), what)
	}
	return nil
}
