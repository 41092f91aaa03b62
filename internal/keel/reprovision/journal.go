package reprovision

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/assignment"
)

// journalVersion is the format of the file.
const journalVersion = 1

// Plan is what a run is about. It is in the first line of the journal.
type Plan struct {
	// Service identifies the provisioning service, so that a run on an earlier one of the same name is not continued.
	Service string `json:"service"`
	// From is the host name of the hub whose devices are asked; "" for all hubs. Group is the id of the only group.
	From  string `json:"from,omitempty"`
	Group string `json:"group,omitempty"`
}

// header is the first line. Lines with the devices follow, as many as it says, and then one for each device that was
// asked.
type header struct {
	Version int `json:"version"`
	Plan
	Run     string    `json:"run"`
	Begun   time.Time `json:"begun"`
	Devices int       `json:"devices"`
}

// reply is a line: how a device answered.
type reply struct {
	Device string `json:"asked"`
	Answer
}

// Journal is the progress of a run in a file. A process that is killed leaves a line for each device that was asked,
// but for those whose answers were on their way: they may be asked twice.
type Journal struct {
	// Run names the run in the requests to devices.
	Run string
	// Begun is when the run began.
	Begun time.Time
	// Devices are all devices of the run as they were assigned before it began.
	Devices []assignment.Device
	// Asked are the answers so far, by registration id.
	Asked map[string]Answer

	name string
	mu   sync.Mutex // guards file
	file *os.File
}

// ErrOther is the cause if the journal is of a run with another plan.
var ErrOther = errors.New("another run is not finished")

// Resume opens the journal of a run that has not ended, or returns nil if no journal exists. A journal of another
// provisioning service is of no use and removed.
func Resume(name string, plan Plan) (*Journal, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the progress of the last run: %w", err)
	}
	j, of, err := readJournal(text)
	if err != nil {
		return nil, hint.To(fmt.Errorf("read the progress of the last run in %s: %w", name, err),
			"start over with --restart")
	}
	if of.Service != plan.Service {
		return nil, durable.OS.Remove(name)
	}
	if of != plan {
		return nil, &otherRun{of, j.Begun}
	}
	j.name = name
	return j, j.open(len(text) > 0 && text[len(text)-1] != '\n')
}

// otherRun is an unfinished run with another plan.
type otherRun struct {
	Plan
	begun time.Time
}

func (o *otherRun) Error() string {
	return fmt.Sprintf("%v: the one of %s", ErrOther, o.begun.Local().Format(time.DateTime))
}

func (o *otherRun) Is(target error) bool { return target == ErrOther }

// readJournal reads the lines of a journal. The last one may be incomplete.
func readJournal(text []byte) (*Journal, Plan, error) {
	lines := bufio.NewReader(bytes.NewReader(text))
	var head header
	if err := nextLine(lines, &head); err != nil {
		return nil, Plan{}, err
	}
	if head.Version != journalVersion {
		return nil, Plan{}, fmt.Errorf("unknown version %d", head.Version)
	}
	j := &Journal{Run: head.Run, Begun: head.Begun, Asked: map[string]Answer{}}
	for range head.Devices {
		var d assignment.Device
		if err := nextLine(lines, &d); err != nil {
			return nil, Plan{}, err
		}
		j.Devices = append(j.Devices, d)
	}
	for {
		var r reply
		switch err := nextLine(lines, &r); {
		case errors.Is(err, io.EOF):
			return j, head.Plan, nil
		case err == nil && r.Device != "":
			j.Asked[r.Device] = r.Answer
		}
	}
}

func nextLine(lines *bufio.Reader, into any) error {
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return io.EOF // an incomplete line counts as missing
	}
	return json.Unmarshal(line, into)
}

// Begin creates the journal of a new run.
func Begin(name string, plan Plan, run string, devices []assignment.Device, now time.Time) (*Journal, error) {
	if err := durable.OS.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	err := durable.OS.Write(name, 0o600, func(w io.Writer) error {
		buffered := bufio.NewWriter(w)
		lines := json.NewEncoder(buffered)
		if err := lines.Encode(header{journalVersion, plan, run, now, len(devices)}); err != nil {
			return err
		}
		for _, d := range devices {
			if err := lines.Encode(d); err != nil {
				return err
			}
		}
		return buffered.Flush()
	})
	if err != nil {
		return nil, err
	}
	j := &Journal{Run: run, Begun: now, Devices: devices, Asked: map[string]Answer{}, name: name}
	return j, j.open(false)
}

// open opens the file for more lines; isCut is true if its last line is incomplete.
func (j *Journal) open(isCut bool) error {
	file, err := os.OpenFile(j.name, os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil && isCut {
		_, err = file.WriteString("\n")
	}
	if err != nil {
		return fmt.Errorf("write the progress: %w", err)
	}
	j.file = file
	return nil
}

// note adds the answer of a device.
func (j *Journal) note(device string, a Answer) error {
	line, err := json.Marshal(reply{device, a})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.Asked[device] = a
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the progress: %w", err)
	}
	return nil
}

// answer returns how a device answered, and whether it was asked.
func (j *Journal) answer(device string) (Answer, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a, asked := j.Asked[device]
	return a, asked
}

// Close closes the file and keeps it, so that the run can be continued.
func (j *Journal) Close() error { return j.file.Close() }

// End closes and removes the file: the run has ended.
func (j *Journal) End() error {
	_ = j.file.Close() // it is removed
	return durable.OS.Remove(j.name)
}

// Discard removes the journal of a run that is not to be continued, if there is one.
func Discard(name string) error {
	if err := durable.OS.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
