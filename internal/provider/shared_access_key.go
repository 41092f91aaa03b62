package provider

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// SharedAccessKey is a pair of keys for a shared access policy of a hub or a provisioning service. It lives in the stack's
// state alone.
type SharedAccessKey struct{}

// SharedAccessKeyArgs are the inputs of a SharedAccessKey.
type SharedAccessKeyArgs struct {
	Rotation *int `pulumi:"rotation,optional"`
}

// SharedAccessKeyState is the state of a SharedAccessKey.
type SharedAccessKeyState struct {
	SharedAccessKeyArgs
	PrimaryKey   string `pulumi:"primaryKey" provider:"secret"`
	SecondaryKey string `pulumi:"secondaryKey" provider:"secret"`
	ActiveKey    string `pulumi:"activeKey" provider:"secret"`
	NextKey      string `pulumi:"nextKey" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (k *SharedAccessKey) Annotate(an infer.Annotator) {
	an.SetToken("index", "SharedAccessKey")
	an.Describe(k, "A pair of keys of 64 random bytes for a shared access policy. It asks no service: the keys live in the stack's state, "+
		"as secrets, and stay the same until `rotation` is raised. Declare both on the policy, and let clients use `activeKey`.")
}

// Annotate describes the properties in the schema.
func (a *SharedAccessKeyArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.Rotation, "Count of rotations, 0 at first. Raise it by one to move `activeKey` to the other key: one raise leaves the old key valid, "+
		"a second one replaces it. To be done with a key that leaked, raise it twice, with an update after each.")
}

// Annotate describes the properties in the schema.
func (s *SharedAccessKeyState) Annotate(an infer.Annotator) {
	an.Describe(&s.PrimaryKey, "The policy's primary key, base64.")
	an.Describe(&s.SecondaryKey, "The policy's secondary key, base64.")
	an.Describe(&s.ActiveKey, "The one of the two keys that clients should use now.")
	an.Describe(&s.NextKey, "The key that the rotation after next brings in, kept ready so that its preview is fully known. Use it nowhere.")
}

// Create makes the keys.
func (SharedAccessKey) Create(ctx context.Context, req infer.CreateRequest[SharedAccessKeyArgs]) (infer.CreateResponse[SharedAccessKeyState], error) {
	return infer.CreateResponse[SharedAccessKeyState]{}, nil
}
