package entry

import (
	"fmt"
	"strings"
)

// Collections, as ids and paths of the service spell them.
const (
	IndividualsName = "enrollments"
	groupsName      = "enrollmentGroups"
)

// ResourceID returns the Pulumi id of an entry, which is also what pulumi import takes: {service
// host}/{collection}/{id}.
func ResourceID(host, collection, id string) string {
	return strings.ToLower(host) + "/" + collection + "/" + id
}

// ParseID reads a Pulumi id of the given collection.
func ParseID(id, collection string) (host, entry string, err error) {
	parts := strings.Split(id, "/")
	if len(parts) != 3 || parts[0] == "" || !strings.EqualFold(parts[1], collection) || parts[2] == "" {
		return "", "", fmt.Errorf("the id %q is not of the form {service host}/%s/{id}", id, collection)
	}
	return strings.ToLower(parts[0]), parts[2], nil
}
