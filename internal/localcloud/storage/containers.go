package storage

import (
	"encoding/base64"
	"encoding/xml"
	"github.com/patchbay/patchbay/internal/localcloud/provider"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxPage is how many entries one listing holds at most.
const maxPage = 5000

type xmlMetadata map[string]string

// MarshalXML writes one element per entry.
func (m xmlMetadata) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if len(m) == 0 {
		return nil
	}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, name := range sortedNames(m) {
		if err := e.EncodeElement(m[name], xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type listing struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:",attr"`
	ContainerName   string   `xml:",attr,omitempty"`
	Prefix          string   `xml:",omitempty"`
	Marker          string   `xml:",omitempty"`
	MaxResults      int      `xml:",omitempty"`
	Delimiter       string   `xml:",omitempty"`
	Containers      *containerList
	Blobs           *blobList
	NextMarker      string
}

type containerList struct{ Container []xmlContainer }

type xmlContainer struct {
	Name       string
	Properties struct {
		LastModified          string `xml:"Last-Modified"`
		Etag                  string
		LeaseStatus           string
		LeaseState            string
		PublicAccess          string `xml:",omitempty"`
		HasImmutabilityPolicy bool
		HasLegalHold          bool
	}
	Metadata xmlMetadata `xml:",omitempty"`
}

type blobList struct {
	Blob       []xmlBlob
	BlobPrefix []xmlPrefix
}

type xmlPrefix struct{ Name string }

type xmlBlob struct {
	Name       string
	Properties xmlBlobProperties
	Metadata   xmlMetadata `xml:",omitempty"`
}

type xmlBlobProperties struct {
	CreationTime    string `xml:"Creation-Time"`
	LastModified    string `xml:"Last-Modified"`
	Etag            string
	ContentLength   int64  `xml:"Content-Length"`
	ContentType     string `xml:"Content-Type"`
	ContentEncoding string `xml:"Content-Encoding"`
	ContentLanguage string `xml:"Content-Language"`
	ContentMD5      string `xml:"Content-MD5"`
	CacheControl    string `xml:"Cache-Control"`
	BlobType        string
	LeaseStatus     string
	LeaseState      string
	ServerEncrypted bool
}

// page reads what every listing takes.
func page(r *http.Request, endpoint string) (listing, error) {
	q := r.URL.Query()
	l := listing{ServiceEndpoint: endpoint, Prefix: q.Get("prefix"), Marker: q.Get("marker"), Delimiter: q.Get("delimiter")}
	if given := q.Get("maxresults"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 {
			return l, errQuery
		}
		l.MaxResults = min(n, maxPage)
	}
	return l, nil
}

func (l listing) limit() int {
	if l.MaxResults > 0 {
		return l.MaxResults
	}
	return maxPage
}

func includesMetadata(r *http.Request) bool {
	return slices.Contains(strings.Split(r.URL.Query().Get("include"), ","), "metadata")
}

func (a *account) serveContainers(w http.ResponseWriter, r *http.Request, _ target) error {
	l, err := page(r, a.endpoint())
	if err != nil {
		return err
	}
	l.Containers = &containerList{}
	for _, c := range a.vault.containers() {
		if !strings.HasPrefix(c.Name, l.Prefix) || c.Name < l.Marker {
			continue
		}
		if len(l.Containers.Container) == l.limit() {
			l.NextMarker = c.Name
			break
		}
		x := xmlContainer{Name: c.Name}
		x.Properties.LastModified, x.Properties.Etag = c.Modified.Format(http.TimeFormat), c.ETag
		x.Properties.LeaseStatus, x.Properties.LeaseState = "unlocked", "available"
		x.Properties.PublicAccess = strings.ToLower(c.Access)
		if includesMetadata(r) {
			x.Metadata = c.Metadata
		}
		l.Containers.Container = append(l.Containers.Container, x)
	}
	writeXML(w, http.StatusOK, l)
	return nil
}

func (a *account) serveBlobs(w http.ResponseWriter, r *http.Request, t target) error {
	l, err := page(r, a.endpoint())
	if err != nil {
		return err
	}
	found, err := a.vault.blobs(t.container, l.Prefix)
	if err != nil {
		return err
	}
	l.ContainerName, l.Blobs = t.container, &blobList{}
	last := ""
	for _, b := range found {
		name, isPrefix := b.Name, false
		if cut := strings.Index(name[len(l.Prefix):], l.Delimiter); l.Delimiter != "" && cut >= 0 {
			name, isPrefix = name[:len(l.Prefix)+cut+len(l.Delimiter)], true
		}
		if name < l.Marker || isPrefix && name == last {
			continue
		}
		if len(l.Blobs.Blob)+len(l.Blobs.BlobPrefix) == l.limit() {
			l.NextMarker = name
			break
		}
		last = name
		if isPrefix {
			l.Blobs.BlobPrefix = append(l.Blobs.BlobPrefix, xmlPrefix{name})
			continue
		}
		l.Blobs.Blob = append(l.Blobs.Blob, describe(b, includesMetadata(r)))
	}
	writeXML(w, http.StatusOK, l)
	return nil
}

func describe(b blobInfo, metadata bool) xmlBlob {
	x := xmlBlob{Name: b.Name, Properties: xmlBlobProperties{
		CreationTime: b.Created.Format(http.TimeFormat), LastModified: b.Modified.Format(http.TimeFormat), Etag: b.ETag,
		ContentLength: b.Size, ContentType: b.Headers["Content-Type"], ContentEncoding: b.Headers["Content-Encoding"],
		ContentLanguage: b.Headers["Content-Language"], CacheControl: b.Headers["Cache-Control"],
		ContentMD5: base64.StdEncoding.EncodeToString(b.MD5), BlobType: "BlockBlob",
		LeaseStatus: "unlocked", LeaseState: "available", ServerEncrypted: true,
	}}
	if metadata {
		x.Metadata = b.Metadata
	}
	return x
}

func (a *account) createContainer(w http.ResponseWriter, r *http.Request, t target) error {
	if _, there := a.vault.container(t.container); there {
		return errContainerExists
	}
	access := map[string]string{"blob": "Blob", "container": "Container"}[strings.ToLower(r.Header.Get("x-ms-blob-public-access"))]
	doc, _ := a.cloud.Store().Get(a.id)
	if access != "" && !flag(doc, false, "properties", "allowBlobPublicAccess") {
		return errPublicAccess
	}
	c, _, err := a.vault.putContainer(t.container, access, metadataOf(r.Header))
	if err != nil {
		return err
	}
	stampHeaders(w.Header(), c.ETag, c.Modified)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *account) serveContainer(w http.ResponseWriter, _ *http.Request, t target) error {
	c, ok := a.vault.container(t.container)
	if !ok {
		return errContainerNotFound
	}
	h := w.Header()
	stampHeaders(h, c.ETag, c.Modified)
	setMetadata(h, c.Metadata)
	if c.Access != "" {
		h.Set("x-ms-blob-public-access", strings.ToLower(c.Access))
	}
	h.Set("x-ms-lease-status", "unlocked")
	h.Set("x-ms-lease-state", "available")
	h.Set("x-ms-has-immutability-policy", "false")
	h.Set("x-ms-has-legal-hold", "false")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *account) dropContainer(w http.ResponseWriter, _ *http.Request, t target) error {
	gone, err := a.vault.deleteContainer(t.container)
	if err != nil {
		return err
	}
	if !gone {
		return errContainerNotFound
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (a *account) serveProperties(w http.ResponseWriter, _ *http.Request, _ target) error {
	type retention struct{ Enabled bool }
	type logging struct {
		Version             string
		Delete, Read, Write bool
		RetentionPolicy     retention
	}
	type metrics struct {
		Version         string
		Enabled         bool
		RetentionPolicy retention
	}
	writeXML(w, http.StatusOK, struct {
		XMLName                    xml.Name `xml:"StorageServiceProperties"`
		Logging                    logging
		HourMetrics, MinuteMetrics metrics
		Cors                       struct{}
		DeleteRetentionPolicy      retention
		StaticWebsite              retention
	}{Logging: logging{Version: "1.0"}, HourMetrics: metrics{Version: "1.0"}, MinuteMetrics: metrics{Version: "1.0"}})
	return nil
}

func (a *account) serveInfo(w http.ResponseWriter, _ *http.Request, _ target) error {
	doc, _ := a.cloud.Store().Get(a.id)
	w.Header().Set("x-ms-sku-name", provider.Text(doc, "sku", "name"))
	w.Header().Set("x-ms-account-kind", provider.Text(doc, "kind"))
	w.Header().Set("x-ms-is-hns-enabled", "false")
	w.WriteHeader(http.StatusOK)
	return nil
}
