package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report holds the figures of one run.
type Report struct {
	Machine string `json:"machine"`
	// Load is the machine's one-minute load average at the start of the run; "" where the system does not report it.
	// Figures from a busy machine are low, and so are the ratios that depend on waiting.
	Load   string `json:"load,omitempty"`
	Rounds int    `json:"rounds"`
	// Resources is the number of resources in each of the compared stacks.
	Resources     int          `json:"resources,omitempty"`
	Pulumi        []Comparison `json:"pulumi,omitempty"`
	Environments  []Comparison `json:"environments,omitempty"`
	Listing       *Listing     `json:"listing,omitempty"`
	Commit        *CommitSize  `json:"commit,omitempty"`
	Registrations []Rate       `json:"registrations,omitempty"`
	Visits        *Visits      `json:"visits,omitempty"`
	Crowds        []Crowd      `json:"crowds,omitempty"`
	Enrolling     *Enrolling   `json:"enrolling,omitempty"`
	Singles       *Comparison  `json:"singles,omitempty"`
	Sets          []SetSize    `json:"sets,omitempty"`
	Population    []Population `json:"population,omitempty"`
	Memory        []Memory     `json:"memory,omitempty"`
	// EmulatorAfterRegistrations is the emulator's peak memory in MiB after all registrations.
	EmulatorAfterRegistrations float64 `json:"emulatorAfterRegistrationsMiB,omitempty"`
	parallel                   int
}

// Comparison compares an operation on the local stack with the same operation on a stack of resources that do nothing.
type Comparison struct {
	Operation string `json:"operation"`
	// Local and Noop are medians in seconds; Ratio is the median of Ratios.
	Local float64 `json:"localSeconds"`
	Noop  float64 `json:"noopSeconds"`
	Ratio float64 `json:"ratio"`
	Goal  float64 `json:"goal"`
	// Ratios are the ratios of all rounds.
	Ratios []float64 `json:"ratios"`
}

// Rate compares the rate of registrations with its bounds; medians, per second.
type Rate struct {
	Way           string  `json:"way"`
	KeyExchange   string  `json:"keyExchange"`
	Registrations float64 `json:"registrations"`
	Handshakes    float64 `json:"handshakes"`
	Commits       float64 `json:"commits"`
	// Allowed is the rate of a server that does only a handshake and a commit for each device.
	Allowed float64 `json:"allowed"`
	// Percent is the percentage of Allowed that was reached, the median of the rounds; Goal is the percentage to reach.
	Percent float64 `json:"percent"`
	Goal    float64 `json:"goal"`
}

// CommitSize is the number of bytes that one bare commit writes.
type CommitSize struct {
	Rows  int `json:"rows"`
	Bytes int `json:"bytes"`
}

// Memory is the peak memory of a process.
type Memory struct {
	Process string  `json:"process"`
	MiB     float64 `json:"peakMiB"`
}

func newReport(o options) Report {
	load, _ := os.ReadFile("/proc/loadavg")
	before, _, _ := strings.Cut(string(load), " ")
	return Report{
		Load:    before,
		Machine: fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Rounds:  o.rounds, parallel: o.parallel,
	}
}

func compareTimes(name string, goal float64, local, noop []float64) Comparison {
	c := Comparison{Operation: name, Goal: goal, Local: median(local), Noop: median(noop)}
	for i := range local {
		c.Ratios = append(c.Ratios, local[i]/noop[i])
	}
	c.Ratio = median(c.Ratios)
	return c
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// print writes the report as tables.
func (r Report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s; medians of %d rounds", r.Machine, r.Rounds)
	if r.Load != "" {
		fmt.Fprintf(t, "; load average as it began %s", r.Load)
	}
	fmt.Fprintln(t)
	printComparisons(t, fmt.Sprintf("Pulumi, %d resources each\tlocal stack\tno-op stack", r.Resources), r.Pulumi)
	printComparisons(t, fmt.Sprintf("keel, %d resources each\tkeel\tpulumi, no-op", r.Resources), r.Environments)
	if l := r.Listing; l != nil {
		fmt.Fprintf(t, "\nLists of %d environments\tkeel ls\tpulumi stack ls\tmore\tat most\n", l.Environments)
		fmt.Fprintf(t, "\t%.2f s\t%.2f s\t%.2f s\t%.1f s\n", l.Keel, l.Pulumi, l.More, l.Goal)
	}
	if len(r.Registrations) > 0 {
		fmt.Fprintf(t,
			"\nRegistrations/s, %d at a time\tregistrations\tTLS handshakes\tcommits\tboth\treached\tto reach\n",
			r.parallel)
		for _, x := range r.Registrations {
			fmt.Fprintf(t, "%s, %s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f %%\t%.0f %%\n",
				x.Way, x.KeyExchange, x.Registrations, x.Handshakes, x.Commits, x.Allowed, x.Percent, x.Goal)
		}
		fmt.Fprintf(t, "one commit: %d rows, %d bytes, synced\n", r.Commit.Rows, r.Commit.Bytes)
	}
	if v := r.Visits; v != nil {
		fmt.Fprintf(t, "\nConnect, subscribe, publish, disconnect; per second, %s\tmosquitto\ta hub\treached\n",
			v.KeyExchange)
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f %%\n", v.Version, v.Mosquitto, v.Emulator, v.Percent)
	}
	if len(r.Crowds) > 0 {
		fmt.Fprintf(t, "\nFirst registrations/s over MQTT, beside\tconnected devices\n")
		for _, c := range r.Crowds {
			fmt.Fprintf(t, "\t%d\t%.0f\n", c.Connected, c.Registrations)
		}
	}
	r.printEnrollments(t)
	if len(r.Population) > 0 {
		fmt.Fprintf(t, "\nMemory of the emulator for each\tcount\tbytes\n")
		for _, p := range r.Population {
			fmt.Fprintf(t, "%s\t%d\t%.0f\n", p.What, p.Count, p.Bytes)
		}
	}
	if len(r.Memory) > 0 {
		fmt.Fprintf(t, "\nPeak memory during one up\tMiB\n")
		for _, m := range r.Memory {
			fmt.Fprintf(t, "%s\t%.0f\n", m.Process, m.MiB)
		}
	}
	if r.EmulatorAfterRegistrations > 0 {
		fmt.Fprintf(t, "emulator, after all registrations\t%.0f\n", r.EmulatorAfterRegistrations)
	}
	return t.Flush()
}

func printComparisons(w io.Writer, title string, list []Comparison) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\tratio\tto reach\n", title)
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%.2f s\t%.2f s\t%.2f\t%.1f\n", c.Operation, c.Local, c.Noop, c.Ratio, c.Goal)
	}
}

// printEnrollments writes the tables of enrollments.
func (r Report) printEnrollments(t io.Writer) {
	if e := r.Enrolling; e != nil {
		fmt.Fprintf(t, "\nEnrollments created/s, %d each\t\n", e.Count)
		for _, way := range e.Ways {
			fmt.Fprintf(t, "%s\t%.0f\n", way.Name, way.PerSecond)
		}
		fmt.Fprintf(t, "to reach: the lower of twice Node's best and 80 %% of the bare client\t%.0f\n", e.Goal)
	}
	if c := r.Singles; c != nil {
		printComparisons(t, "Pulumi, one resource for each enrollment\tenrollments\tno-op resources", []Comparison{*c})
	}
	if len(r.Sets) > 0 {
		fmt.Fprintf(t,
			"\nPulumi, one set\tup (create)\trefresh\tpreview (no changes)\twithout the set\tplugin's peak MiB\tto "+
				"reach\n")
		for _, s := range r.Sets {
			fmt.Fprintf(t, "%d devices, %s\t%.2f s\t%.2f s\t%.2f s\t%.2f s\t%.0f\t%s\n", s.Devices, s.Form, s.Up,
				s.Refresh, s.Preview, s.Without, s.MiB, s.Goal)
		}
	}
}
