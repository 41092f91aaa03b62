//go:build acceptance

package acceptance_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// blobs emulates a container of Azure Blob Storage in memory, with the operations that Pulumi's backend uses: put, get,
// properties, delete, copy and list of block blobs (REST API of the Blob service). It does not authenticate requests.
type blobs struct {
	mu   sync.Mutex
	held map[string]blob // by name
	last int
}

type blob struct {
	content  []byte
	kind     string
	etag     string
	modified time.Time
}

func (b *blobs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	name := blobName(r.URL)
	w.Header().Set("x-ms-version", r.Header.Get("x-ms-version"))
	w.Header().Set("x-ms-request-id", "story")
	held, there := b.held[name]
	switch {
	case name == "":
		b.list(w, r.URL.Query().Get("prefix"), r.URL.Query().Get("delimiter"))
	case r.Method == http.MethodPut:
		b.put(w, r, name, body)
	case !there:
		w.Header().Set("x-ms-error-code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(b.held, name)
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Content-Type", held.kind)
		w.Header().Set("ETag", held.etag)
		w.Header().Set("x-ms-blob-type", "BlockBlob")
		w.Header().Set("x-ms-creation-time", held.modified.UTC().Format(http.TimeFormat))
		http.ServeContent(w, r, "", held.modified, strings.NewReader(string(held.content)))
	}
}

// blobName returns the path of a URL without the account and the container.
func blobName(u *url.URL) string {
	parts := strings.SplitN(strings.TrimPrefix(u.Path, "/"), "/", 3)
	return strings.Join(parts[min(2, len(parts)):], "/")
}

func (b *blobs) put(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	kind := r.Header.Get("x-ms-blob-content-type")
	if from := r.Header.Get("x-ms-copy-source"); from != "" {
		u, err := url.Parse(from)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		source, there := b.held[blobName(u)]
		if !there {
			w.Header().Set("x-ms-error-code", "CannotVerifyCopySource")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		body, kind = source.content, source.kind
		w.Header().Set("x-ms-copy-status", "success")
		w.Header().Set("x-ms-copy-id", "story")
	}
	b.last++
	b.held[name] = blob{slices.Clone(body), kind, fmt.Sprintf("%q", fmt.Sprint(b.last)), time.Now()}
	w.Header().Set("ETag", b.held[name].etag)
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	if w.Header().Get("x-ms-copy-status") != "" {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (b *blobs) list(w http.ResponseWriter, prefix, delimiter string) {
	type properties struct {
		Modified string `xml:"Last-Modified"`
		Etag     string
		Length   int    `xml:"Content-Length"`
		Type     string `xml:"Content-Type"`
		BlobType string
	}
	type entry struct {
		Name       string
		Properties properties
	}
	var page struct {
		XMLName xml.Name `xml:"EnumerationResults"`
		Blobs   struct {
			BlobPrefix []struct{ Name string }
			Blob       []entry
		}
		NextMarker string
	}
	var names []string
	for name := range b.held {
		names = append(names, name)
	}
	slices.Sort(names)
	seen := map[string]bool{}
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if folder, _, deeper := strings.Cut(rest, delimiter); delimiter != "" && deeper {
			if folder = prefix + folder + delimiter; !seen[folder] {
				seen[folder] = true
				page.Blobs.BlobPrefix = append(page.Blobs.BlobPrefix, struct{ Name string }{folder})
			}
			continue
		}
		h := b.held[name]
		page.Blobs.Blob = append(page.Blobs.Blob, entry{name, properties{h.modified.UTC().Format(http.TimeFormat),
			h.etag, len(h.content), h.kind, "BlockBlob"}})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(page)
}
