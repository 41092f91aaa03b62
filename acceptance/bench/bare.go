package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
)

// bareParallel is the number of concurrent requests of the bare client: the same as a set's.
const bareParallel = 16

// bareBulk creates enrollments by bulk operations over net/http, without retries, a rate limit or a record of what was
// done. It returns the number of enrollments per second.
func (f *fleet) bareBulk(ctx context.Context, prefix string, count int) (float64, error) {
	token, err := sas.New(f.access.Host, f.access.PolicyName, f.access.Key, time.Now().Add(time.Hour))
	if err != nil {
		return 0, err
	}
	config := f.tls(nil)
	config.ServerName = f.access.Host
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: bareParallel, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	send := func(call int) error {
		body, err := bulkBody(prefix, call*dpsservice.BulkSize)
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.data+"/enrollments?api-version="+
			dpsservice.APIVersion, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Host = f.access.Host
		request.Header.Set("Authorization", token)
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var result struct{ IsSuccessful bool }
		if err := json.NewDecoder(answer.Body).Decode(&result); err != nil || !result.IsSuccessful {
			return fmt.Errorf("a bulk operation of the bare client: %s, %w", answer.Status, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	start := time.Now()
	err = inParallel(count/dpsservice.BulkSize, bareParallel, send)
	return float64(count) / time.Since(start).Seconds(), err
}

// bulkBody returns the body of a bulk operation that creates ten enrollments, numbered from the argument, with new
// keys.
func bulkBody(prefix string, from int) ([]byte, error) {
	var enrollments []map[string]any
	for i := range dpsservice.BulkSize {
		keys := map[string]string{}
		for _, slot := range []string{"primaryKey", "secondaryKey"} {
			key, err := sas.NewKey(nil)
			if err != nil {
				return nil, err
			}
			keys[slot] = key
		}
		enrollments = append(enrollments, map[string]any{
			"registrationId": fmt.Sprintf("%s-%d", prefix, from+i),
			"attestation":    map[string]any{"type": "symmetricKey", "symmetricKey": keys},
		})
	}
	return json.Marshal(map[string]any{"mode": "create", "enrollments": enrollments})
}
