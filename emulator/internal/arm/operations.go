package arm

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/state"
)

// Long-running operations: the response contains the address to poll (Azure-AsyncOperation, and Location for
// deletions and where the version describes it), which returns "Running" until the transition is due. Nothing has to
// happen in between: phases follow from the clock.

// Kinds of operations: each has its own path and a mark in its ids.
const (
	operationOfHub     = "ih"
	operationOfService = "dps"
	operationOfGroup   = "rg"
)

func (s *surface) routeOperations() {
	const locations = "GET /subscriptions/{subscription}/providers/microsoft.devices/locations/{location}"
	s.route(locations+"/operationresults/{operation}", (*call).getOperation)
	s.route(locations+"/provisioningserviceoperationresults/{operation}", (*call).getOperation)
	// The older path, still in the specification.
	s.route("GET "+serviceItem+"/operationresults/{operation}", (*call).getOperation)
	s.route("GET /subscriptions/{subscription}/operationresults/{operation}", (*call).getOperation)
}

// operation describes a long-running operation that begins.
type operation struct {
	kind, location string
	// delay is the time until its end.
	delay time.Duration
	// withLocation sets the header Location too, which answers with the resource result at the end, or with nothing.
	withLocation bool
	result       state.ResourceID
}

// begin records an operation that ends with its transition, and sets the headers with its address. For a deletion it
// sets Location too.
func (c *call) begin(kind, location string, withLocation bool) error {
	return c.beginOperation(operation{kind: kind, location: location, delay: c.Delay, withLocation: withLocation})
}

// beginOperation is begin for other operations.
func (c *call) beginOperation(o operation) error {
	kind, location := o.kind, o.location
	due := c.State.Now().Add(o.delay)
	mark := map[string]string{operationOfHub: "os_ih_", operationOfService: "os_id_", operationOfGroup: "os_rg_"}[kind]
	location = strings.ToLower(strings.ReplaceAll(location, " ", ""))
	id := base64.StdEncoding.EncodeToString([]byte("id=" + mark + uuid.NewString() + ";region=" + location))
	if err := c.State.PutAsync(state.Async{ID: id, Due: due}); err != nil {
		return err
	}
	address := "https://" + c.r.Host + "/subscriptions/" + c.values["subscription"]
	query := "?api-version=" + c.version
	switch kind {
	case operationOfHub:
		address += "/providers/Microsoft.Devices/locations/" + location + "/operationResults/" + id
		query += "&operationSource=other"
	case operationOfService:
		address += "/providers/Microsoft.Devices/locations/" + location + "/provisioningServiceOperationResults/" + id
	case operationOfGroup:
		address += "/operationresults/" + id
	}
	if kind != operationOfGroup {
		c.w.Header().Set("Azure-AsyncOperation", address+query+"&asyncinfo")
	}
	if o.withLocation {
		if o.result.Name != "" {
			query += "&" + url.Values{resultGroup: {o.result.Group}, resultName: {o.result.Name}}.Encode()
		}
		c.w.Header().Set("Location", address+query)
	}
	if o.delay > 0 {
		c.retryAfter(o.delay)
		return nil
	}
	// hashicorp/go-azure-sdk waits 10 s before its first poll unless a header sets another time (poller_lro.go). For
	// other clients zero is the same as no header: they poll at once.
	c.w.Header().Set("Retry-After", "0")
	return nil
}

// retryAfter sets when the client should poll again. Fidelity: Azure sends no such header for Microsoft.Devices, and
// 15 s for groups; here the header contains the actual wait.
func (c *call) retryAfter(left time.Duration) {
	wait := max(10*time.Millisecond, min(left, time.Second))
	c.w.Header().Set("retry-after-ms", strconv.FormatInt(wait.Milliseconds(), 10))
	c.w.Header().Set("Retry-After", "1")
}

// operationBody is the body of an Azure-AsyncOperation response.
type operationBody struct {
	Status string          `json:"status"`
	Error  *operationError `json:"error,omitempty"`
}

type operationError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// getOperation responds to both forms: with asyncinfo (Azure-AsyncOperation) always with 200 and a status, without it
// (Location) with 202 until the end.
func (c *call) getOperation() error {
	op, err := c.State.Async(c.values["operation"])
	if isKind(err, state.NotFound) {
		return armError(http.StatusNotFound, "OperationNotFound", "The operation '%s' could not be found.",
			c.values["operation"])
	}
	if err != nil {
		return fmt.Errorf("read operation: %w", err)
	}
	left := op.Due.Sub(c.State.Now())
	_, async := c.r.URL.Query()["asyncinfo"]
	switch {
	case left > 0 && async:
		c.retryAfter(left)
		return c.json(http.StatusOK, operationBody{Status: "Running"})
	case left > 0:
		c.retryAfter(left)
		c.w.Header().Set("Location", "https://"+c.r.Host+c.r.URL.RequestURI())
		c.w.WriteHeader(http.StatusAccepted)
		return nil
	case op.Code != "" && async:
		return c.json(http.StatusOK, operationBody{Status: "Failed", Error: &operationError{op.Code, op.Message}})
	case op.Code != "":
		return armError(http.StatusConflict, op.Code, "%s", op.Message)
	case async:
		return c.json(http.StatusOK, operationBody{Status: "Succeeded"})
	}
	return c.operationResult()
}

// Parameters of the header Location that name the resource with which it answers at the end. Clients treat the address
// as opaque.
const resultGroup, resultName = "resultGroup", "resultName"

// operationResult answers a finished operation by Location: with the resource, or with an empty body.
func (c *call) operationResult() error {
	query := c.r.URL.Query()
	c.values["group"], c.values["name"] = query.Get(resultGroup), query.Get(resultName)
	switch {
	case c.values["name"] == "":
		c.w.WriteHeader(http.StatusOK)
		return nil
	case strings.Contains(strings.ToLower(c.r.URL.Path), "/provisioningserviceoperationresults/"):
		return services.getOne(c)
	}
	return hubs.getOne(c)
}
