package iothub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// fleet creates devices d1 to d4, of which the last has an empty twin and is disabled.
func (f *fixture) fleet() {
	f.Helper()
	for id, body := range map[string]string{
		"d1": `{"tags":{"floor":1,"site":{"name":"north"},"from":"x"},"properties":{"desired":{"interval":30,"mode":"eco"}}}`,
		"d2": `{"tags":{"floor":2,"site":{"name":"it's"}},"properties":{"desired":{"interval":60.5,"on":true}}}`,
		"d3": `{"tags":{"floor":"2","list":[1,{"k":"v"}]},"properties":{"desired":{"interval":90,"on":false}}}`,
		"d4": `{}`,
	} {
		f.device(id)
		f.owner("PATCH", "/twins/"+id, body).want(f.T, "patch", http.StatusOK)
	}
	f.owner("PUT", "/devices/d4", `{"status":"disabled","statusReason":"lost"}`, "If-Match", "*").want(f.T, "disable",
		http.StatusOK)
}

// ask returns the ids in the result of a query.
func (f *fixture) ask(query string) string {
	f.Helper()
	body, _ := json.Marshal(map[string]string{"query": query})
	a := f.owner("POST", "/devices/query", string(body)).want(f.T, query, http.StatusOK)
	var rows []struct{ DeviceID string }
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil {
		f.Fatalf("%s: %v in %s", query, err, a.body)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.DeviceID)
	}
	return strings.Join(ids, " ")
}

func TestConditionsOfQueries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fleet()
	for where, want := range map[string]string{
		"deviceId = 'd2'":                    "d2",
		"DEVICEID='d2' OR deviceId = \"d3\"": "d2 d3",
		"devices.deviceId = 'd1'":            "d1",
		"deviceId IN ['d1', 'd4', 'd9']":     "d1 d4",
		"deviceId IN ('d1')":                 "d1",
		"deviceId NIN ['d1', 'd4']":          "d2 d3",
		"deviceId NOT IN ['d1']":             "d2 d3 d4",
		"'d3' < deviceId":                    "d4",
		"status = 'disabled'":                "d4",
		"status != 'disabled'":               "d1 d2 d3",
		"NOT status = 'disabled'":            "d1 d2 d3",
		"tags.floor = 2":                     "d2",
		"tags.floor = '2'":                   "d3",
		"tags.floor != 2":                    "d1", // the string is of another type, and d4 has none
		"NOT tags.floor = 2":                 "d1",
		"tags.site.name = 'north'":           "d1",
		"tags['site'].name = 'it''s'":        "d2",
		`tags.site.name = 'it\'s'`:           "d2",
		"tags.from = 'x'":                    "d1",
		`tags.site.name = 'it\u0027s' AND '\ud83d\ude00\u00fC' = '😀ü'`: "d2",
		`'\u12' = 'u12' AND '\ud83dx' = '\ufffdx' AND deviceId = 'd4'`: "d4",
		"properties.desired.interval = 0x1E AND 0xfF = 255":            "d1",
		"tags.list[0] = 1":     "d3",
		"tags.list[1].k = 'v'": "d3",
		"IS_DEFINED(tags.list[1]['k']) AND NOT IS_DEFINED(tags.list[2])": "d3",
		"IS_DEFINED(tags.floor[0]) OR IS_DEFINED(tags.site[0])":          "",
		"properties.desired.interval > 30":                               "d2 d3",
		"properties.desired.interval >= 60.5":                            "d2 d3",
		"properties.desired.interval < 6.05e1":                           "d1",
		"properties.desired.interval <> 90":                              "d1 d2",
		"properties.desired.on = true":                                   "d2",
		"properties.desired.on != true":                                  "d3",
		"properties.reported.firmware = '1'":                             "",
		"capabilities.iotEdge = false":                                   "d1 d2 d3 d4",
		"tags.floor = 1 OR tags.floor = 2 AND deviceId = 'd9'":           "d1",
		"(tags.floor = 1 OR tags.floor = 2) AND deviceId = 'd2'":         "d2",
		// of d4 nothing is known
		"NOT (deviceId = 'd1' OR properties.desired.interval = 60.5)": "d3",
		"is_defined(tags.floor)":                      "d1 d2 d3",
		"tags.floor != null":                          "d1 d2 d3",
		"tags.floor = null":                           "",
		"properties.desired.on":                       "d2",
		"NOT properties.desired.on OR tags.floor = 1": "d1 d3",
		"(properties.desired.on) = false":             "d3",
		// of the others one is a string
		"tags.floor + 1 = 3":                                                               "d2",
		"1 + 2 * 3 - 4 / 2 = 5 AND deviceId = 'd4'":                                        "d4",
		"(1 + 2) * 3 = 9 AND deviceId = 'd4'":                                              "d4",
		"properties.desired.interval % 60 = 30":                                            "d1 d3",
		"properties.desired.interval - 60 < -1":                                            "d1",
		"properties.desired.interval / 0 = 1 OR deviceId = 'd4'":                           "d4",
		"tags.floor IN [-1, 2]":                                                            "d2",
		"x509Thumbprint.primaryThumbprint = null AND tags.floor = 1":                       "d1",
		"tags.floor > null OR tags.floor = 1":                                              "d1",
		"NOT is_defined(tags.floor)":                                                       "d4",
		"IS_NUMBER(tags.floor) AND NOT IS_OBJECT(tags.list)":                               "d1 d2",
		"STARTSWITH(properties.desired.mode, 'e')":                                         "d1",
		"contains(tags.site.name, 'or') and endswith(deviceId, '1')":                       "d1",
		"authenticationType = 'sas' AND connectionState = 'Disconnected' AND version >= 3": "d1 d2 d3 d4",
	} {
		t.Run(where, func(t *testing.T) {
			if got := f.ask("SELECT * FROM devices WHERE " + where); got != want {
				t.Errorf("%s: got %q, want %q", where, got, want)
			}
		})
	}
	if got := f.ask("select * from devices d where d.tags.floor = 1"); got != "d1" {
		t.Errorf("with an alias: got %q, want d1", got)
	}
}

func TestColumnsOfQueries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fleet()
	for query, want := range map[string]string{
		"SELECT deviceId, tags.site.name AS site FROM devices WHERE tags.floor = 1": `[{"deviceId":"d1","site":"north"}]`,
		"SELECT deviceId, tags.nothing FROM devices WHERE deviceId = 'd4'":          `[{"deviceId":"d4"}]`,
		"SELECT d.tags.floor FROM devices AS d WHERE d.deviceId = 'd3'":             `[{"floor":"2"}]`,
		"SELECT COUNT() AS n FROM devices WHERE status = 'enabled'":                 `[{"n":3}]`,
		"SELECT tags.list[1].k, tags.list[0] FROM devices WHERE deviceId = 'd3'":    `[{"$1":1,"k":"v"}]`,
		"SELECT COUNT() FROM devices":                                               `[{"$1":4}]`,
		"SELECT COUNT(*), COUNT(tags.site) FROM devices":                            `[{"$1":4,"$2":2}]`,
		"SELECT COUNT() AS n FROM devices WHERE deviceId = 'no'":                    `[{"n":0}]`,
		"SELECT SUM(properties.desired.interval) AS s, AVG(properties.desired.interval) AS a, " +
			"MIN(properties.desired.interval) AS l, MAX(properties.desired.interval) AS h FROM devices": `[{"a":60.166666666666664,"h":90,"l":30,"s":180.5}]`,
		"SELECT MIN(deviceId) AS l, max(deviceId) AS h FROM devices":                                            `[{"h":"d4","l":"d1"}]`,
		"SELECT AVG(tags.site) AS a, MAX(tags.no) AS b, COUNT() AS n FROM devices":                              `[{"n":4}]`,
		"SELECT status, COUNT() AS n FROM devices GROUP BY status":                                              `[{"n":1,"status":"disabled"},{"n":3,"status":"enabled"}]`,
		"SELECT properties.desired.on AS on, COUNT() AS n FROM devices d GROUP BY d.properties.desired.on":      `[{"n":2},{"n":1,"on":false},{"n":1,"on":true}]`,
		"SELECT tags.floor FROM devices WHERE status = 'enabled' GROUP BY tags.floor":                           `[{"floor":"2"},{"floor":1},{"floor":2}]`,
		"SELECT COUNT() AS n FROM devices WHERE deviceId = 'no' GROUP BY status":                                `[]`,
		"SELECT status, tags.floor, COUNT() AS n FROM devices WHERE tags.floor = 1 GROUP BY status, tags.floor": `[{"floor":1,"n":1,"status":"enabled"}]`,
		"SELECT TOP 2 deviceId FROM devices":                                                                    `[{"deviceId":"d1"},{"deviceId":"d2"}]`,
		"SELECT TOP 1 status, COUNT() AS n FROM devices GROUP BY status":                                        `[{"n":1,"status":"disabled"}]`,
		"SELECT moduleId FROM devices.modules m WHERE m.deviceId = 'd1'":                                        `[]`,
		"SELECT COUNT() FROM devices.jobs":                                                                      `[]`,
	} {
		t.Run(fmt.Sprintf("%.60q", query), func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"query": query})
			a := f.owner("POST", "/devices/query", string(body)).want(t, query, http.StatusOK)
			if a.body != want || a.header.Get("x-ms-item-type") != "Raw" {
				t.Errorf("%s: got %s of type %s, want %s", query, a.body, a.header.Get("x-ms-item-type"), want)
			}
		})
	}
}

func TestInvalidQueries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, query := range []string{
		"", "SELECT", "SELECT *", "SELECT * FROM", "SELECT * FROM jobs", "SELECT * FROM devices.twins",
		"SELECT * FROM devices.", "FROM devices SELECT *",
		"SELECT * FROM devices WHERE", "SELECT * FROM devices WHERE tags.a + = 1",
		"SELECT * FROM devices WHERE a - * 1 = 1", "SELECT * FROM devices WHERE tags.a =",
		"SELECT * FROM devices WHERE a = 'b",
		"SELECT * FROM devices WHERE a = 1 b", "SELECT * FROM devices WHERE (a = 1",
		"SELECT * FROM devices WHERE a IN []", "SELECT * FROM devices WHERE a IN ['b'",
		"SELECT * FROM devices WHERE nothing(a)", "SELECT * FROM devices WHERE a = 1 AND",
		"SELECT * FROM devices WHERE a.1.", "SELECT * FROM devices WHERE a[1.5] = 1",
		"SELECT * FROM devices WHERE a = 0x", "SELECT * FROM devices WHERE a = 0x11111111111111111",
		`SELECT * FROM devices WHERE a = '\\u0027`, "SELECT * FROM devices WHERE a[b] = 1",
		"SELECT * FROM devices WHERE a[''] = 1", "SELECT * FROM devices WHERE a[1 = 1", "SELECT a, FROM devices",
		"SELECT a AS FROM devices", "SELECT COUNT(), a FROM devices", "SELECT * FROM devices GROUP BY a",
		"SELECT b FROM devices GROUP BY a", "SELECT a FROM devices GROUP BY",
		"SELECT a FROM devices GROUP a", "SELECT SUM() FROM devices", "SELECT MEDIAN(a) FROM devices",
		"SELECT TOP 0 * FROM devices", "SELECT TOP FROM", "SELECT COUNT(a FROM devices",
		"SELECT * FROM devices ORDER BY a", "SELECT * FROM devices; DROP", "SELECT * FROM devices AS",
		"SELECT * FROM devices WHERE " + strings.Repeat("(", 200) + "a = 1" + strings.Repeat(")", 200),
		"SELECT * FROM devices WHERE " + strings.Repeat("NOT ", 200) + "a = 1",
		"SELECT * FROM devices WHERE a = '" + strings.Repeat("x", 64<<10) + "'",
	} {
		t.Run(fmt.Sprintf("%.60q", query), func(t *testing.T) {
			body, _ := json.Marshal(map[string]string{"query": query})
			a := f.owner("POST", "/devices/query", string(body))
			if a.status != http.StatusBadRequest ||
				!strings.Contains(a.body, "ErrorCode:ArgumentInvalid;The query is invalid: ") {
				t.Errorf("%.60s: got %d %.200s", query, a.status, a.body)
			}
		})
	}
}

func TestPagesOfQueriesSkipWhatDoesNotMatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 12 {
		id := fmt.Sprintf("p%02d", i)
		f.device(id)
		f.owner("PATCH", "/twins/"+id, fmt.Sprintf(`{"tags":{"third":%t}}`, i%3 == 0)).want(t, "patch", 200)
	}
	for query, want := range map[string]string{
		"SELECT deviceId FROM devices WHERE tags.third = true":                  `[{"deviceId":"p00"},{"deviceId":"p03"}] [{"deviceId":"p06"},{"deviceId":"p09"}]`,
		"SELECT TOP 3 deviceId FROM devices":                                    `[{"deviceId":"p00"},{"deviceId":"p01"}] [{"deviceId":"p02"}]`,
		"SELECT TOP 4 deviceId FROM devices":                                    `[{"deviceId":"p00"},{"deviceId":"p01"}] [{"deviceId":"p02"},{"deviceId":"p03"}]`,
		"SELECT deviceId FROM devices WHERE deviceId IN ['p00','p11']":          `[{"deviceId":"p00"},{"deviceId":"p11"}]`,
		"SELECT deviceId FROM devices WHERE deviceId > 'p08' GROUP BY deviceId": `[{"deviceId":"p09"},{"deviceId":"p10"}] [{"deviceId":"p11"}]`,
		"SELECT deviceId FROM devices WHERE tags.third = 'no'":                  `[]`,
	} {
		t.Run(query, func(t *testing.T) {
			var pages []string
			for next := ""; ; {
				a := f.owner("POST", "/devices/query", `{"query":"`+query+`"}`, "x-ms-max-item-count", "2",
					"x-ms-continuation", next).want(t, "page", 200)
				pages = append(pages, a.body)
				if next = a.header.Get("x-ms-continuation"); next == "" {
					break
				}
			}
			if got := strings.Join(pages, " "); got != want {
				t.Errorf("%s: got %s\nwant %s", query, got, want)
			}
		})
	}
	f.owner("POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, "x-ms-continuation", "p03").want(t,
		"another's continuation", http.StatusBadRequest)
}
