package storage

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBlob is the largest body one write may carry, in bytes.
const maxBlob = 256 << 20

// contentHeaders are what a blob keeps of a write and gives back on a read.
var contentHeaders = []string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition", "Cache-Control"}

func stampHeaders(h http.Header, etag string, modified time.Time) {
	h.Set("ETag", etag)
	h.Set("Last-Modified", modified.Format(http.TimeFormat))
}

const metadataPrefix = "X-Ms-Meta-"

func metadataOf(h http.Header) map[string]string {
	out := map[string]string{}
	for name, values := range h {
		if rest, ok := strings.CutPrefix(http.CanonicalHeaderKey(name), metadataPrefix); ok {
			out[strings.ToLower(rest)] = strings.Join(values, ",")
		}
	}
	return out
}

func setMetadata(h http.Header, metadata map[string]string) {
	for name, value := range metadata {
		h[strings.ToLower(metadataPrefix)+name] = []string{value} // not in Go's spelling: clients keep the case they see
	}
}

// conditions turns a write's conditional headers into a check.
func conditions(h http.Header) func(old blobInfo, exists bool) error {
	return func(old blobInfo, exists bool) error {
		if match := h.Get("If-Match"); match != "" && (!exists || match != "*" && match != old.ETag) {
			return errCondition
		}
		switch none := h.Get("If-None-Match"); {
		case none == "*" && exists:
			return errBlobExists
		case none != "" && exists && none == old.ETag:
			return errCondition
		}
		if at, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && exists && old.Modified.After(at) {
			return errCondition
		}
		if at, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && exists && !old.Modified.After(at) {
			return errCondition
		}
		return nil
	}
}

func (a *account) putBlob(w http.ResponseWriter, r *http.Request, t target) error {
	if r.Header.Get("x-ms-blob-type") != "BlockBlob" || r.Header.Get("x-ms-copy-source") != "" {
		return errBlobType
	}
	if r.ContentLength < 0 {
		return errLength
	}
	b := blobInfo{Name: t.blob, Headers: map[string]string{"Content-Type": "application/octet-stream"}, Metadata: metadataOf(r.Header)}
	for _, name := range contentHeaders {
		for _, from := range []string{"x-ms-blob-" + strings.ToLower(name), name} {
			if v := r.Header.Get(from); v != "" {
				b.Headers[name] = v
				break
			}
		}
	}
	met := conditions(r.Header)
	given := r.Header.Get("Content-Md5")
	stored, err := a.vault.putBlob(t.container, b, http.MaxBytesReader(w, r.Body, maxBlob), func(old blobInfo, exists bool, sum []byte) error {
		if given != "" && given != base64.StdEncoding.EncodeToString(sum) {
			return errMD5
		}
		return met(old, exists)
	})
	if err != nil {
		return err
	}
	stampHeaders(w.Header(), stored.ETag, stored.Modified)
	w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(stored.MD5))
	w.Header().Set("x-ms-request-server-encrypted", "true")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *account) putMetadata(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := a.vault.change(t.container, t.blob, metadataOf(r.Header), conditions(r.Header))
	if err != nil {
		return err
	}
	stampHeaders(w.Header(), b.ETag, b.Modified)
	w.WriteHeader(http.StatusOK)
	return nil
}

// blobHeaders writes what a read tells about a blob.
func blobHeaders(h http.Header, b blobInfo) {
	stampHeaders(h, b.ETag, b.Modified)
	setMetadata(h, b.Metadata)
	for name, value := range b.Headers {
		h.Set(name, value)
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-ms-blob-type", "BlockBlob")
	h.Set("x-ms-creation-time", b.Created.Format(http.TimeFormat))
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-server-encrypted", "true")
}

// readable finds a blob and holds it to a read's conditions.
func (a *account) readable(r *http.Request, t target) (blobInfo, error) {
	b, err := a.vault.blob(t.container, t.blob)
	if err != nil {
		return b, err
	}
	h := r.Header
	if match := h.Get("If-Match"); match != "" && match != "*" && match != b.ETag {
		return b, errCondition
	}
	if none := h.Get("If-None-Match"); none != "" && (none == "*" || none == b.ETag) {
		return b, errNotModified
	}
	if at, err := http.ParseTime(h.Get("If-Modified-Since")); err == nil && !b.Modified.After(at) {
		return b, errNotModified
	}
	if at, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil && b.Modified.After(at) {
		return b, errCondition
	}
	return b, nil
}

func (a *account) serveBlob(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := a.readable(r, t)
	if err != nil {
		return err
	}
	first, size, partial, err := parseRange(rangeOf(r.Header), b.Size)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
		return err
	}
	content, err := a.vault.content(t.container, b)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // read only
	h := w.Header()
	blobHeaders(h, b)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	sum := base64.StdEncoding.EncodeToString(b.MD5)
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+size-1, b.Size))
		h.Set("x-ms-blob-content-md5", sum)
	} else {
		h.Set("Content-MD5", sum)
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, _ = io.Copy(w, io.NewSectionReader(content, first, size)) // a client that has gone needs no more
	return nil
}

func rangeOf(h http.Header) string {
	if v := h.Get("x-ms-range"); v != "" {
		return v
	}
	return h.Get("Range")
}

// parseRange reads "bytes=first-last" or "bytes=first-" against a size. Anything
// of another form is ignored, as HTTP has it.
func parseRange(header string, size int64) (first, length int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return 0, size, false, nil
	}
	from, to, ok := strings.Cut(spec, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	if !ok || err1 != nil || first < 0 {
		return 0, size, false, nil
	}
	last := size - 1
	if to != "" {
		given, err := strconv.ParseInt(to, 10, 64)
		if err != nil || given < first {
			return 0, size, false, nil
		}
		last = min(last, given)
	}
	if first >= size {
		return 0, 0, false, errRange
	}
	return first, last - first + 1, true, nil
}

func (a *account) serveMetadata(w http.ResponseWriter, r *http.Request, t target) error {
	b, err := a.readable(r, t)
	if err != nil {
		return err
	}
	stampHeaders(w.Header(), b.ETag, b.Modified)
	setMetadata(w.Header(), b.Metadata)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *account) dropBlob(w http.ResponseWriter, r *http.Request, t target) error {
	if err := a.vault.deleteBlob(t.container, t.blob, conditions(r.Header)); err != nil {
		return err
	}
	w.Header().Set("x-ms-delete-type-permanent", "true")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
