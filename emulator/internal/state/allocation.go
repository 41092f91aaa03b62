package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strings"
	"time"
)

// Candidate is a hub that a device can be assigned to.
type Candidate struct {
	Host string
	// Weight below 1 counts as 1.
	Weight int
	// Latency is the latency from the device to the hub; nil if unknown. Only GeoLatency uses it.
	Latency *time.Duration
}

// Allocate selects the hub for a registration. It refuses with Invalid if no hub is eligible.
//
// Hashed is weighted rendezvous hashing: each hub scores −weight / ln(h), where h in (0, 1) comes from the SHA-256 of
// the lower-case registration id, a zero byte and the lower-case host; the highest score wins. The choice depends on
// nothing else, neither on the order of the candidates nor on earlier choices: a hub gets devices in proportion to
// its weight, a new hub takes over devices only for itself, and removing a hub moves only its own devices. Fidelity:
// ours. Azure's hash is not public, so the same id may get another hub there; only the proportions agree.
//
// GeoLatency selects the nearest hub; hubs at the same distance, or all hubs if no distance is known, are hashed.
// Static needs exactly one candidate. Custom is decided by the caller.
func Allocate(policy AllocationPolicy, registrationID string, candidates []Candidate) (string, error) {
	refuse := func(reason string) (string, error) {
		return "", &Error{Kind: Invalid, Object: "allocation", Reason: reason}
	}
	if len(candidates) == 0 {
		return refuse("no IoT hub is eligible")
	}
	switch policy {
	case Hashed:
		return hashed(registrationID, candidates), nil
	case GeoLatency:
		return hashed(registrationID, nearest(candidates)), nil
	case Static:
		if len(candidates) > 1 {
			return refuse("static allocation needs exactly one IoT hub")
		}
		return candidates[0].Host, nil
	}
	return refuse("the policy is decided by a webhook")
}

func hashed(registrationID string, candidates []Candidate) string {
	var best string
	var bestScore float64
	for _, c := range candidates {
		score := float64(max(c.Weight, 1)) / -math.Log(unit(registrationID, c.Host))
		if best == "" || score > bestScore || score == bestScore && c.Host < best {
			best, bestScore = c.Host, score
		}
	}
	return best
}

// unit returns a number that is evenly distributed over the open interval from 0 to 1, in steps of 2^-52, half a step
// away from both ends.
func unit(registrationID, host string) float64 {
	text := make([]byte, 0, 256)
	text = append(text, strings.ToLower(registrationID)...)
	text = append(text, 0)
	text = append(text, strings.ToLower(host)...)
	sum := sha256.Sum256(text)
	return (float64(binary.BigEndian.Uint64(sum[:8])>>12) + 0.5) / (1 << 52)
}

func nearest(candidates []Candidate) []Candidate {
	var found []Candidate
	for _, c := range candidates {
		switch {
		case c.Latency == nil:
		case len(found) == 0 || *c.Latency < *found[0].Latency:
			found = []Candidate{c}
		case *c.Latency == *found[0].Latency:
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return candidates
	}
	return found
}
