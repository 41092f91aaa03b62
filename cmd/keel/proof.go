package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/dpsdevice"
	"evenkeel/internal/durable"
	"evenkeel/internal/fleet/spread"
)

// provisionOptions are what `devices provision` and the check of `up` are asked for.
type provisionOptions struct {
	// count is how many devices of each group register, parallel how many at a time.
	count, parallel int
	transport       dpsdevice.Transport
	groups          []string // empty for the stack's own
	svg             string   // a file for the picture
	check           bool
	csr             bool // devices ask for certificates
	// isFirst is true if the devices cannot have registered before, so that the service need not be asked.
	isFirst bool
}

// proofHelp ends the help of `devices provision`.
const proofHelp = "The report compares the share of each hub with the expected one: the 95 % band, and the " +
	"chi-square test with its p-value.\n" +
	"Policies other than an even distribution are not compared. --svg draws the split for a pull request. --check " +
	"ends with exit\n" +
	"code 1 and an explanation when a device is not assigned, is on a hub that should get none, or when the split " +
	"is so uneven\n" +
	"that only one of a million fair ones is. --group registers devices of other enrollment groups of the service."

func addProof(cmd *cobra.Command, o *provisionOptions) {
	cmd.Flags().StringSliceVar(&o.groups, "group", nil,
		"enrollment groups whose devices register (default: the stack's)")
	cmd.Flags().StringVar(&o.svg, "svg", "", "write the split to this file as a picture")
	cmd.Flags().BoolVar(&o.check, "check", false, "fail unless every device is assigned and the split is plausible")
}

// quantiles are percentiles of durations, in milliseconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// quantilesOf returns the percentiles by nearest rank: each is a duration that was measured. None are 0.
func quantilesOf(durations []time.Duration) quantiles {
	sorted := slices.Sorted(slices.Values(durations))
	rank := func(q float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		at := max(0, int(math.Ceil(q*float64(len(sorted))))-1)
		return float64(sorted[at].Microseconds()) / 1000
	}
	return quantiles{rank(0.50), rank(0.95), rank(0.99)}
}

// String formats the percentiles as 12/31/44 ms.
func (q quantiles) String() string {
	return fmt.Sprintf("%s/%s/%s ms", milliseconds(q.P50), milliseconds(q.P95), milliseconds(q.P99))
}

func milliseconds(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// latencies are how long devices took in milliseconds, retries and pauses before them left out.
type latencies struct {
	// Register is the time from the connection to the provisioning service to the assignment, Connect that of the
	// connection to the hub.
	Register quantiles `json:"register"`
	Connect  quantiles `json:"connect"`
}

// provisionResult is what `devices provision` prints as JSON.
type provisionResult struct {
	Devices int     `json:"devices"`
	New     int     `json:"new"`
	Kept    int     `json:"kept"`
	Moved   int     `json:"moved"`
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
	// Rate is how many devices of the groups were registered in a second.
	Rate         float64        `json:"registrationsPerSecond"`
	Milliseconds latencies      `json:"latencyMilliseconds"`
	Policy       string         `json:"allocationPolicy"`
	Substatus    map[string]int `json:"substatus"`
	// Hubs have the devices of the judged groups or, if none is judged, all devices.
	Hubs   []spread.Hub   `json:"hubs"`
	Groups []cohortResult `json:"groups"`
	// Proof is absent if no group is judged.
	Proof *spread.Proof `json:"proof,omitempty"`
	// Check is the result of --check.
	Check *checkResult `json:"check,omitempty"`
	// Enrollments are the devices with individual enrollments. The figures above count those of the groups; Failed,
	// both.
	Enrollments    []declaredDevice `json:"enrollments,omitempty"`
	EnrollmentSets []declaredSet    `json:"enrollmentSets,omitempty"`
	Failures       []failure        `json:"failures,omitempty"`
	Allocation     string           `json:"allocation"`
}

// hashNote is printed with every distribution.
const hashNote = "emulator: rendezvous hashing; Azure's hash is not public"

// result collects what a run reports.
func (f *fleet) result(compared comparison, took time.Duration, check bool) provisionResult {
	r := provisionResult{
		Devices: f.assigned + f.kept + f.moved, New: f.assigned, Kept: f.kept, Moved: f.moved, Failed: f.failed,
		Seconds: took.Seconds(), Milliseconds: latencies{quantilesOf(f.registerTimes), quantilesOf(f.connectTimes)},
		Policy: f.stack.AllocationPolicy, Substatus: f.substatus, Hubs: compared.hubs, Groups: compared.cohorts,
		Enrollments: f.declared, EnrollmentSets: f.sets, Failures: f.failures, Allocation: hashNote,
	}
	if took > 0 {
		r.Rate = float64(r.Devices) / took.Seconds()
	}
	if compared.isJudged() {
		r.Proof = &compared.proof
	}
	if check {
		r.Check = f.examine(compared)
	}
	return r
}

// report prints the results.
func (a *app) report(f *fleet, r provisionResult) error {
	if a.json {
		return a.printJSON(r)
	}
	fmt.Fprintf(a.stdout, "%d devices of %s, %s, in %.1f s: %d new, %d kept their hub, %d moved\n",
		r.Devices, groupsOf(r.Groups), policiesOf(r.Groups), r.Seconds, r.New, r.Kept, r.Moved)
	if err := r.printSplit(a.stdout); err != nil {
		return err
	}
	if err := f.printDeclared(a.stdout); err != nil {
		return err
	}
	a.sayFailures(r)
	return r.Check.print(a.stdout)
}

// sayFailures lists the first devices that failed.
func (a *app) sayFailures(r provisionResult) {
	for _, c := range r.Failures {
		a.say("%s: %s", c.Device, c.Error)
	}
	if more := r.Failed - len(r.Failures); more > 0 {
		a.say("and %d more", more)
	}
}

// printSplit prints the bars, the comparison and the speed.
func (r provisionResult) printSplit(w io.Writer) error {
	if err := spread.Draw(w, r.Hubs); err != nil {
		return err
	}
	for _, g := range r.Groups {
		switch {
		case g.Judged:
		case len(r.Groups) == 1:
			fmt.Fprintf(w, "not compared with an even split: %s\n", g.Reason)
		default:
			fmt.Fprintf(w, "%d devices of group %s are not compared with an even split: %s\n", g.Devices, g.Group,
				g.Reason)
		}
	}
	if line := r.chiSquare(); line != "" {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "%.1f registrations a second; p50/p95/p99 %s to register, %s to connect\n", r.Rate,
		r.Milliseconds.Register, r.Milliseconds.Connect)
	_, err := fmt.Fprintln(w, hashNote)
	return err
}

// chiSquare returns the result of the test as a line, or "" if it was not made.
func (r provisionResult) chiSquare() string {
	if r.Proof == nil {
		return ""
	}
	return r.Proof.String()
}

// writePicture writes the split as SVG, unless file is "".
func (r provisionResult) writePicture(file string) error {
	if file == "" {
		return nil
	}
	devices := 0
	for _, h := range r.Hubs {
		devices += h.Devices
	}
	below := cmp.Or(r.chiSquare(), "no comparison with an even split")
	if r.Proof == nil && len(r.Groups) == 1 {
		below = "not compared with an even split: " + r.Groups[0].Reason
	}
	shown := slices.DeleteFunc(slices.Clone(r.Groups), func(g cohortResult) bool { return r.Proof != nil && !g.Judged })
	picture := spread.Picture(fmt.Sprintf("%d devices of %s, %s", devices, groupsOf(shown), policiesOf(shown)), r.Hubs,
		below, hashNote)
	if err := durable.OS.WriteFile(file, picture, 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}
