package traffic

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
)

// Limit is one of Azure's documented limits.
type Limit struct {
	Name string `json:"name"`
	// Of is what the limit applies to, for example "provisioning service".
	Of string `json:"of"`
	// Max is the number of operations in each Window; for a hub, for one unit of S1.
	Max    int64  `json:"max"`
	Window string `json:"window"`
}

// allowance is a number of operations per window.
type allowance struct {
	name   string
	max    int64
	window time.Duration
}

// Limits of the Device Provisioning Service. Source: "Azure IoT Hub Device Provisioning Service limits".
var (
	dpsOperations    = allowance{"service API operations", 1000, time.Minute}
	dpsRegistrations = allowance{"device registrations", 1000, time.Minute}
	dpsPolls         = allowance{"polls of a registration", 5, 10 * time.Second}
)

// Limits of Azure Resource Manager. Source: "Understand how Azure Resource Manager throttles requests", those of a
// subscription.
var (
	armReads   = allowance{"reads", 12_000, time.Hour}
	armWrites  = allowance{"writes", 1200, time.Hour}
	armDeletes = allowance{"deletes", 15_000, time.Hour}
)

// rate is a limit of a hub by the level of its tier: 1 for F1, B1 and S1, and so on.
type rate struct {
	name   string
	window time.Duration
	// perUnit is multiplied by the units. The result is at least atLeast.
	perUnit, atLeast [3]int64
}

// Limits of IoT Hub. Source: "IoT Hub quotas and throttling".
var (
	registryOperations = rate{"identity registry operations", time.Minute, [3]int64{100, 100, 5000}, [3]int64{}}
	newConnections     = rate{"new device connections", time.Second, [3]int64{12, 120, 6000}, [3]int64{100, 0, 0}}
	deviceSends        = rate{"device-to-cloud sends", time.Second, [3]int64{12, 120, 6000}, [3]int64{100, 0, 0}}
	deviceReceives     = rate{"cloud-to-device receives over HTTPS", time.Minute, [3]int64{1000, 1000, 50_000},
		[3]int64{}}
	hubQueries  = rate{"queries", time.Minute, [3]int64{20, 20, 1000}, [3]int64{}}
	twinReads   = rate{"twin reads", time.Second, [3]int64{0, 10, 500}, [3]int64{100, 100, 0}}
	twinUpdates = rate{"twin updates", time.Second, [3]int64{0, 5, 250}, [3]int64{50, 50, 0}}
	// Direct methods are measured in KB, each call in multiples of 4 KB.
	methodKilobytes = rate{"direct methods in KB", time.Second, [3]int64{160, 480, 24 << 10}, [3]int64{}}
)

const methodStep = 4

// messagesADay is the quota of a unit. Source: "Choose the right IoT Hub tier".
var messagesADay = map[string]int64{
	"F1": 8000, "B1": 400_000, "S1": 400_000, "B2": 6_000_000, "S2": 6_000_000, "B3": 300_000_000, "S3": 300_000_000,
}

const day = 24 * time.Hour

// Limits refuses operations beyond Azure's documented limits, when enabled. Fidelity: Azure permits bursts and queues
// what follows (traffic shaping); here each window, which begins with its first operation, permits the limit and
// refuses the rest.
type Limits struct {
	state *state.State

	mu      sync.Mutex
	on      bool
	refused int64
	windows map[windowKey]*window
}

type windowKey struct{ of, name string }

type window struct {
	ends time.Time
	used int64
}

// NewLimits returns limits that use the clock and the hubs of st.
func NewLimits(st *state.State, on bool) *Limits {
	return &Limits{state: st, on: on, windows: map[windowKey]*window{}}
}

// Set turns the limits on or off. The counts start from zero.
func (l *Limits) Set(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on, l.refused = on, 0
	clear(l.windows)
}

// Status reports whether the limits are on, and how many operations they have refused since.
func (l *Limits) Status() (on bool, refused int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on, l.refused
}

// All returns all limits.
func (l *Limits) All() []Limit {
	var all []Limit
	add := func(of string, a allowance) { all = append(all, Limit{a.name, of, a.max, a.window.String()}) }
	for _, a := range []allowance{armReads, armWrites, armDeletes} {
		add("subscription", a)
	}
	add("provisioning service", dpsOperations)
	add("provisioning service", dpsRegistrations)
	add("device", dpsPolls)
	for _, r := range []rate{
		registryOperations, newConnections, deviceSends, deviceReceives, hubQueries, twinReads, twinUpdates,
		methodKilobytes,
	} {
		add("hub", r.of(state.SKU{Name: "S1", Capacity: 1}))
	}
	add("hub", allowance{"messages", messagesADay["S1"], day})
	return all
}

// of returns the limit of a hub.
func (r rate) of(sku state.SKU) allowance {
	level := 0
	if n := len(sku.Name); n > 0 && sku.Name[n-1] >= '1' && sku.Name[n-1] <= '3' {
		level = int(sku.Name[n-1] - '1')
	}
	return allowance{r.name, max(r.perUnit[level]*max(1, sku.Capacity), r.atLeast[level]), r.window}
}

// charge counts an operation, or refuses it.
func (l *Limits) charge(c Call) error {
	l.mu.Lock()
	on := l.on
	l.mu.Unlock()
	if !on {
		return nil
	}
	switch c.Surface {
	case requestlog.ARM:
		return l.chargeARM(c)
	case requestlog.DPSService:
		return l.take(c.Host, dpsOperations, 1)
	case requestlog.DPSDevice, requestlog.MQTTDPS:
		return l.chargeDevice(c)
	case requestlog.Hub, requestlog.MQTTHub:
		return l.chargeHub(c)
	}
	return nil
}

func (l *Limits) chargeARM(c Call) error {
	a := armWrites
	switch c.Method {
	case http.MethodGet, http.MethodHead:
		a = armReads
	case http.MethodDelete:
		a = armDeletes
	}
	err := l.take("subscription", a, 1)
	if refusal, ok := err.(*Refusal); ok {
		refusal.Name = "SubscriptionRequestsThrottled"
	}
	return err
}

// chargeDevice counts registrations of a service and polls of a device.
func (l *Limits) chargeDevice(c Call) error {
	path := strings.ToLower(c.Path)
	device := c.Host + "/" + strings.ToLower(c.Device)
	if c.Surface == requestlog.DPSDevice {
		device, _, _ = strings.Cut(path, "/operations/")
	}
	switch {
	case strings.HasSuffix(strings.TrimSuffix(path, "/"), "/register"), strings.Contains(path, "/iotdps-register/"):
		return l.take(c.Host, dpsRegistrations, 1)
	case strings.Contains(path, "/operations/"), strings.Contains(path, "/iotdps-get-operationstatus/"):
		return l.take(device, dpsPolls, 1)
	}
	return nil
}

func (l *Limits) chargeHub(c Call) error {
	hub, err := l.state.HubByHost(c.Host)
	if err != nil {
		return nil // the surface refuses it
	}
	r, amount := hubRate(c)
	if amount == 0 {
		return nil
	}
	if err := l.take(c.Host, r.of(hub.SKU), amount); err != nil || r.name != deviceSends.name {
		return err
	}
	step := int64(4 << 10)
	if hub.SKU.Name == "F1" {
		step = 512
	}
	quota := allowance{"messages", messagesADay[hub.SKU.Name] * max(1, hub.SKU.Capacity), day}
	if l.take(c.Host, quota, max(1, (c.Bytes+step-1)/step)) != nil {
		return &Refusal{
			Status: http.StatusForbidden, Code: 403002, Name: "IotHubQuotaExceeded",
			Message: fmt.Sprintf("Total number of messages on IotHub '%s' exceeded the allocated quota of %d a day",
				hub.ID.Name, quota.max),
		}
	}
	return nil
}

// hubRate returns the limit that applies to an operation of a hub, and the amount; or none. Fidelity: a bulk registry
// request counts as one operation, not one for each device.
func hubRate(c Call) (rate, int64) {
	path := strings.ToLower(strings.TrimSuffix(c.Path, "/"))
	switch {
	case c.Surface == requestlog.MQTTHub && c.Method == "CONNECT":
		return newConnections, 1
	case strings.Contains(path, "/messages/events"):
		return deviceSends, 1
	case strings.HasPrefix(path, "$iothub/twin/get"), strings.HasPrefix(path, "/twins/") && c.Method == http.MethodGet:
		return twinReads, 1
	case strings.HasPrefix(path, "$iothub/twin/patch"):
		return twinUpdates, 1
	case c.Surface == requestlog.MQTTHub:
		return rate{}, 0
	case strings.HasPrefix(path, "/twins/") && strings.HasSuffix(path, "/methods"):
		return methodKilobytes, max(1, (c.Bytes+methodStep<<10-1)/(methodStep<<10)) * methodStep
	case strings.HasPrefix(path, "/twins/"):
		return twinUpdates, 1
	case path == "/devices/query":
		return hubQueries, 1
	case strings.HasSuffix(path, "/messages/devicebound"):
		return deviceReceives, 1
	case strings.Contains(path, "/messages/devicebound/"):
		return rate{}, 0 // settling what was received
	case path == "/devices", strings.HasPrefix(path, "/devices/"):
		return registryOperations, 1
	}
	return rate{}, 0
}

// maxWindows is the number of windows at which ended ones are removed.
const maxWindows = 10_000

// take counts amount of an operation, or refuses it until the window ends.
func (l *Limits) take(of string, a allowance, amount int64) error {
	now := l.state.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	key := windowKey{strings.ToLower(of), a.name}
	w := l.windows[key]
	if w == nil || !now.Before(w.ends) || w.ends.Sub(now) > a.window {
		if len(l.windows) >= maxWindows {
			for k, old := range l.windows {
				if !now.Before(old.ends) {
					delete(l.windows, k)
				}
			}
		}
		w = &window{ends: now.Add(a.window)}
		if a.window == day {
			w.ends = now.Truncate(day).Add(day) // of UTC
		}
		l.windows[key] = w
	}
	if w.used+amount > a.max {
		l.refused++
		left := w.ends.Sub(now)
		refusal := &Refusal{
			Status: http.StatusTooManyRequests, Name: "ThrottlingBacklogTimeout", RetryAfter: left,
		}
		// The form is that of IoT Hub (Azure-Samples/Iot-Telemetry-Simulator#39).
		refusal.Message = fmt.Sprintf(
			"The request has been throttled. Wait %s seconds and try again. Operation type: %s, at most %d in %s",
			refusal.Seconds(), a.name, a.max, a.window)
		refusal.complete()
		return refusal
	}
	w.used += amount
	return nil
}
