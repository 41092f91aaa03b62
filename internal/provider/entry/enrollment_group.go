package entry

import "github.com/pulumi/pulumi-go-provider/infer"

var (
	_ infer.CustomResource[EnrollmentGroupArgs, EnrollmentGroupState]       = EnrollmentGroup{}
	_ infer.CustomCheck[EnrollmentGroupArgs]                                = EnrollmentGroup{}
	_ infer.CustomDiff[EnrollmentGroupArgs, EnrollmentGroupState]           = EnrollmentGroup{}
	_ infer.CustomRead[EnrollmentGroupArgs, EnrollmentGroupState]           = EnrollmentGroup{}
	_ infer.CustomUpdate[EnrollmentGroupArgs, EnrollmentGroupState]         = EnrollmentGroup{}
	_ infer.CustomDelete[EnrollmentGroupState]                              = EnrollmentGroup{}
	_ infer.ExplicitDependencies[EnrollmentGroupArgs, EnrollmentGroupState] = EnrollmentGroup{}
)

// EnrollmentGroup allows every device to register that proves its membership in the group.
type EnrollmentGroup struct {
	base[EnrollmentGroupArgs, EnrollmentGroupState]
}

// EnrollmentGroupArgs are the inputs of an EnrollmentGroup.
type EnrollmentGroupArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId" provider:"replaceOnChanges"`
	Settings
	Cleanup
}

// EnrollmentGroupState is the state of an EnrollmentGroup.
type EnrollmentGroupState struct {
	EnrollmentGroupArgs
	Record
	Life
}

// Annotate describes the resource in the schema.
func (g *EnrollmentGroup) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentGroup")
	an.Describe(g, "Allows every device to register that proves its membership in the group: by a key derived from "+
		"the group's key, or by a certificate that the group's certificate signed.\n\n"+
		"Import it by `{service host}/enrollmentGroups/{enrollmentGroupId}`.")
}

// Annotate describes the properties in the schema.
func (a *EnrollmentGroupArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID,
		"Id of the group: up to 128 letters, digits and `-._:`, ending in a letter, a digit or `-`; letter case has "+
			"no meaning. Another id replaces the group.")
}

func (EnrollmentGroupArgs) kind() Kind { return Group }

func (a EnrollmentGroupArgs) declared() Declared {
	return Declared{ID: a.EnrollmentGroupID, Settings: a.Settings, Cleanup: a.Cleanup}
}

func (EnrollmentGroupArgs) of(d Declared) EnrollmentGroupArgs {
	return EnrollmentGroupArgs{EnrollmentGroupID: d.ID, Settings: d.Settings, Cleanup: d.Cleanup}
}

func (s EnrollmentGroupState) held() Held { return Held{s.declared(), s.Record, s.Life} }

func (EnrollmentGroupState) of(h Held) EnrollmentGroupState {
	return EnrollmentGroupState{EnrollmentGroupArgs{}.of(h.Declared), h.Record, h.Life}
}
