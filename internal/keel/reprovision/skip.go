package reprovision

import "evenkeel/internal/keel/assignment"

// Obstacle is why devices of an enrollment would not change their hub by registering again.
type Obstacle string

// The obstacles.
const (
	// Never: the reprovision policy of the enrollment is never.
	Never Obstacle = "its reprovision policy is never: its devices keep their hub"
	// Disabled: the enrollment is disabled.
	Disabled Obstacle = "it is disabled: its devices cannot register"
	// Pinned: the enrollment names only the hub that the devices have.
	Pinned Obstacle = "it names no other hub"
)

// Skipped are the devices of an enrollment that a run does not ask.
type Skipped struct {
	assignment.Key
	Obstacle Obstacle
	Devices  int
}

// obstacle returns what keeps the devices of an enrollment on a hub; "" if nothing does.
func obstacle(e assignment.Enrollment, host string) Obstacle {
	switch {
	case e.Disabled:
		return Disabled
	case e.Never:
		return Never
	case len(e.Hubs) == 1 && e.Names(host):
		return Pinned
	}
	return ""
}

// Sort separates the devices that a run asks from those that it skips, in the order of the census.
func Sort(census assignment.Census) (asked []assignment.Device, skipped []Skipped) {
	entries := map[assignment.Key]assignment.Enrollment{}
	for _, e := range census.Enrollments {
		entries[e.Key] = e
	}
	type reason struct {
		assignment.Key
		Obstacle
	}
	at := map[reason]int{}
	for _, d := range census.Devices {
		why := reason{d.Enrollment, obstacle(entries[d.Enrollment], d.Hub)}
		if why.Obstacle == "" {
			asked = append(asked, d)
			continue
		}
		i, known := at[why]
		if !known {
			i = len(skipped)
			at[why] = i
			skipped = append(skipped, Skipped{Key: d.Enrollment, Obstacle: why.Obstacle})
		}
		skipped[i].Devices++
	}
	return asked, skipped
}
