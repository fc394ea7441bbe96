package storage

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

const (
	fileServiceType = accountType + "/fileServices"
	shareType       = fileServiceType + "/shares"
	// Data actions of files name shares differently.
	fileRight = fileServiceType + "/fileshares/files"
)

const (
	defaultQuota = 5120.0    // GiB
	maxRange     = 4 << 20   // bytes one write may carry
	maxFileSize  = 256 << 20 // the disk is the user's own
)

var (
	errShareNotFound  = &wireError{status: http.StatusNotFound, code: "ShareNotFound", message: "The specified share does not exist."}
	errShareExists    = &wireError{status: http.StatusConflict, code: "ShareAlreadyExists", message: "The specified share already exists."}
	errFileNotFound   = &wireError{status: http.StatusNotFound, code: "ResourceNotFound", message: "The specified resource does not exist."}
	errParentNotFound = &wireError{status: http.StatusNotFound, code: "ParentNotFound", message: "The specified parent path does not exist."}
	errFileExists     = &wireError{status: http.StatusConflict, code: "ResourceAlreadyExists", message: "The specified resource already exists."}
	errNotEmpty       = &wireError{status: http.StatusConflict, code: "DirectoryNotEmpty", message: "The specified directory is not empty."}
	errIntent         = &wireError{status: http.StatusBadRequest, code: "MissingRequiredHeader", message: "An HTTP header that's mandatory for this request is not specified: x-ms-file-request-intent."}
	errHeader         = &wireError{status: http.StatusBadRequest, code: "InvalidHeaderValue", message: "The value for one of the HTTP headers is not in the correct format."}
)

// fileTarget is what a path names.
type fileTarget struct{ share, path string }

func parseFileTarget(path string) (fileTarget, error) {
	share, inner, _ := strings.Cut(strings.Trim(path, "/"), "/")
	share, err1 := url.PathUnescape(share)
	inner, err2 := url.PathUnescape(inner)
	t := fileTarget{share, inner}
	if err1 != nil || err2 != nil || share != "" && !validName(share) {
		return t, errName
	}
	for _, part := range strings.Split(inner, "/") {
		if inner != "" && (part == "" || part == "." || part == ".." || len(part) > 255 || strings.ContainsAny(part, "\\:|<>*?\"\x00")) {
			return t, errName
		}
	}
	return t, nil
}

// need is what a token's principal needs for files: a data action together with the
// privilege to pass over the permissions that files carry.
type need int

const (
	needService need = iota
	needShareRead
	needShareWrite
	needShareDelete
	needRead
	needWrite
	needDelete
)

var (
	readPrivilege  = fileServiceType + "/readFileBackupSemantics/action"
	writePrivilege = fileServiceType + "/writeFileBackupSemantics/action"

	fileDemands = map[need]demand{
		needService:     {anyOf: one(fileServiceType + "/read")},
		needShareRead:   {anyOf: one(shareType + "/read")},
		needShareWrite:  {anyOf: one(shareType + "/write")},
		needShareDelete: {anyOf: one(shareType + "/delete")},
		needRead:        {anyOf: [][]string{{fileRight + "/read", readPrivilege}}, data: true},
		needWrite:       {anyOf: [][]string{{fileRight + "/write", writePrivilege}}, data: true},
		needDelete:      {anyOf: [][]string{{fileRight + "/delete", writePrivilege}}, data: true},
	}
)

// fileOperation is one thing the protocol can do.
type fileOperation struct {
	method        string
	on            string // account, share, inner
	restype, comp string
	need          need
	do            func(f filePlane, w http.ResponseWriter, r *http.Request, t fileTarget) error
}

var fileOperations = []fileOperation{
	{"GET", "account", "", "list", needShareRead, filePlane.serveShares},
	{"GET", "account", "service", "properties", needService, filePlane.serveProperties},
	{"PUT", "share", "share", "", needShareWrite, filePlane.createShare},
	{"GET", "share", "share", "", needShareRead, filePlane.serveShare},
	{"DELETE", "share", "share", "", needShareDelete, filePlane.dropShare},
	{"GET", "share", "directory", "list", needRead, filePlane.serveDirectory},
	{"GET", "inner", "directory", "list", needRead, filePlane.serveDirectory},
	{"PUT", "inner", "directory", "", needWrite, filePlane.createDirectory},
	{"GET", "share", "directory", "", needRead, filePlane.describeDirectory},
	{"GET", "inner", "directory", "", needRead, filePlane.describeDirectory},
	{"DELETE", "inner", "directory", "", needDelete, filePlane.dropDirectory},
	{"PUT", "inner", "", "", needWrite, filePlane.createFile},
	{"PUT", "inner", "", "range", needWrite, filePlane.putRange},
	{"GET", "inner", "", "", needRead, filePlane.serveFile},
	{"DELETE", "inner", "", "", needDelete, filePlane.dropFile},
}

// filePlane answers the file protocol for an account.
type filePlane struct{ a *account }

// ServeHTTP answers one request.
func (f filePlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	preamble(w, r, "Windows-Azure-File/1.0 (local cloud)")
	if err := f.answer(w, r); err != nil {
		f.a.fail(w, r, f.a.protocolError(err))
	}
}

func (f filePlane) answer(w http.ResponseWriter, r *http.Request) error {
	t, err := parseFileTarget(r.URL.EscapedPath())
	var op *fileOperation
	if err == nil {
		op, err = findFileOperation(r, t)
	}
	d := fileDemands[needService]
	if op != nil {
		d = fileDemands[op.need]
	}
	d.service = "file"
	if t.share != "" && op != nil {
		d.below = map[bool]string{true: "/fileshares/", false: "/shares/"}[d.data] + t.share
	}
	// Whoever may not even come in learns nothing about what is offered.
	if refused := f.a.admit(r, d); refused != nil && (op != nil || refused != errPermission) {
		return refused
	}
	if err != nil {
		return err
	}
	// Files have permissions of their own; a token may pass over them only where it says so.
	if bearer(r) && d.data && !strings.EqualFold(r.Header.Get("x-ms-file-request-intent"), "backup") {
		return errIntent
	}
	if _, there := f.a.child(shareType, t.share); !there && t.share != "" && (op.method != http.MethodPut || op.on != "share") {
		return errShareNotFound
	}
	return op.do(f, w, r, t)
}

func bearer(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

func findFileOperation(r *http.Request, t fileTarget) (*fileOperation, error) {
	method, on := r.Method, "inner"
	if method == http.MethodHead {
		method = http.MethodGet
	}
	switch {
	case t.share == "":
		on = "account"
	case t.path == "":
		on = "share"
	}
	q, sameVerb := r.URL.Query(), false
	for _, op := range fileOperations {
		if op.method != method || op.on != on {
			continue
		}
		sameVerb = true
		if strings.EqualFold(op.comp, q.Get("comp")) && strings.EqualFold(op.restype, q.Get("restype")) {
			return &op, nil
		}
	}
	if sameVerb {
		return nil, errQuery
	}
	return nil, errVerb
}

func shareProperties(_ string, given map[string]any) map[string]any {
	out := map[string]any{
		"shareQuota": defaultQuota, "enabledProtocols": "SMB", "accessTier": "TransactionOptimized",
		"leaseStatus": "unlocked", "leaseState": "available",
	}
	for _, member := range []string{"shareQuota", "enabledProtocols", "accessTier"} {
		if v, ok := given[member]; ok && v != nil {
			out[member] = v
		}
	}
	out["metadata"] = metadataDocument(given)
	return out
}

type xmlShare struct {
	Name       string
	Properties struct {
		LastModified string `xml:"Last-Modified"`
		Etag         string
		Quota        int64
		AccessTier   string
	}
	Metadata xmlMetadata `xml:",omitempty"`
}

func (f filePlane) serveShares(w http.ResponseWriter, r *http.Request, _ fileTarget) error {
	l, err := page(r, f.a.planes["file"].endpoint())
	if err != nil {
		return err
	}
	answer := struct {
		listing
		Shares struct{ Share []xmlShare }
	}{listing: l}
	for _, doc := range f.a.children(shareType) {
		name := provider.Text(doc, "name")
		if !strings.HasPrefix(name, l.Prefix) || name < l.Marker {
			continue
		}
		if len(answer.Shares.Share) == l.limit() {
			answer.NextMarker = name
			break
		}
		x := xmlShare{Name: name}
		x.Properties.Etag, x.Properties.LastModified = shareTag(doc), shareTime(doc).Format(http.TimeFormat)
		x.Properties.Quota, x.Properties.AccessTier = quota(doc), provider.Text(doc, "properties", "accessTier")
		if includesMetadata(r) {
			x.Metadata = documentMetadata(doc)
		}
		answer.Shares.Share = append(answer.Shares.Share, x)
	}
	writeXML(w, http.StatusOK, answer)
	return nil
}

func quota(doc provider.Document) int64 {
	n, _ := provider.At(doc, "properties", "shareQuota").(float64)
	return int64(n)
}

// shareTime and shareTag are what a share's document knows of its last change.
func shareTime(doc provider.Document) time.Time {
	at, err := time.Parse(time.RFC3339Nano, provider.Text(doc, "properties", "lastModifiedTime"))
	if err != nil {
		return time.Unix(0, 0).UTC()
	}
	return at.UTC()
}

func shareTag(doc provider.Document) string {
	return `"0x8D` + strings.ToUpper(strconv.FormatInt(shareTime(doc).UnixNano(), 16)) + `"`
}

func (f filePlane) serveProperties(w http.ResponseWriter, r *http.Request, _ fileTarget) error {
	return f.a.serveProperties(w, r, target{})
}

func (f filePlane) createShare(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	given := map[string]any{"metadata": asMembers(metadataOf(r.Header))}
	if text := r.Header.Get("x-ms-share-quota"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return errHeader
		}
		given["shareQuota"] = float64(n)
	}
	properties := shareProperties(t.share, given)
	properties["lastModifiedTime"] = f.a.cloud.Now().UTC().Format(time.RFC3339Nano)
	if !f.a.addChild(shareType, t.share, properties) {
		return errShareExists
	}
	doc, _ := f.a.child(shareType, t.share)
	stampHeaders(w.Header(), shareTag(doc), shareTime(doc))
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (f filePlane) serveShare(w http.ResponseWriter, _ *http.Request, t fileTarget) error {
	doc, _ := f.a.child(shareType, t.share)
	stampHeaders(w.Header(), shareTag(doc), shareTime(doc))
	setMetadata(w.Header(), documentMetadata(doc))
	w.Header().Set("x-ms-share-quota", strconv.FormatInt(quota(doc), 10))
	w.Header().Set("x-ms-access-tier", provider.Text(doc, "properties", "accessTier"))
	w.Header().Set("x-ms-share-usage-bytes", strconv.FormatInt(f.a.shares.used(t.share), 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (f filePlane) dropShare(w http.ResponseWriter, _ *http.Request, t fileTarget) error {
	if !f.a.dropChild(shareType, t.share) {
		return errShareNotFound
	}
	if err := f.a.shares.forget(t.share); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f filePlane) serveDirectory(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	l, err := page(r, f.a.planes["file"].endpoint())
	if err != nil {
		return err
	}
	nodes, err := f.a.shares.list(t.share, t.path)
	if err != nil {
		return err
	}
	type item struct {
		Name       string
		Properties struct {
			ContentLength int64 `xml:"Content-Length"`
		}
	}
	answer := struct {
		listing
		ShareName     string `xml:",attr"`
		DirectoryPath string `xml:",attr"`
		Entries       struct {
			Directory []xmlPrefix
			File      []item
		}
	}{listing: l, ShareName: t.share, DirectoryPath: t.path}
	count := 0
	for _, n := range nodes {
		if name := n.name(); !strings.HasPrefix(name, l.Prefix) || name < l.Marker {
			continue
		}
		if count == l.limit() {
			answer.NextMarker = n.name()
			break
		}
		count++
		if n.Directory {
			answer.Entries.Directory = append(answer.Entries.Directory, xmlPrefix{n.name()})
			continue
		}
		x := item{Name: n.name()}
		x.Properties.ContentLength = n.Size
		answer.Entries.File = append(answer.Entries.File, x)
	}
	writeXML(w, http.StatusOK, answer)
	return nil
}

// nodeHeaders writes what every answer about a directory or file tells of it.
func nodeHeaders(h http.Header, n node) {
	stampHeaders(h, n.ETag, n.Modified)
	setMetadata(h, n.Metadata)
	attributes := "Archive"
	if n.Directory {
		attributes = "Directory"
	}
	const layout = "2006-01-02T15:04:05.0000000Z"
	h.Set("x-ms-file-attributes", attributes)
	h.Set("x-ms-file-creation-time", n.Created.Format(layout))
	h.Set("x-ms-file-last-write-time", n.Modified.Format(layout))
	h.Set("x-ms-file-change-time", n.Modified.Format(layout))
	h.Set("x-ms-file-permission-key", "0*0") // permissions are not kept
	h.Set("x-ms-file-id", "0")
	h.Set("x-ms-file-parent-id", "0")
	h.Set("x-ms-request-server-encrypted", "true")
}

func (f filePlane) createDirectory(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	n, err := f.a.shares.make(t.share, node{Path: t.path, Directory: true, Metadata: metadataOf(r.Header)})
	if err != nil {
		return err
	}
	nodeHeaders(w.Header(), n)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (f filePlane) describeDirectory(w http.ResponseWriter, _ *http.Request, t fileTarget) error {
	n, err := f.a.shares.find(t.share, t.path, true)
	if err != nil {
		return err
	}
	nodeHeaders(w.Header(), n)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (f filePlane) dropDirectory(w http.ResponseWriter, _ *http.Request, t fileTarget) error {
	if err := f.a.shares.remove(t.share, t.path, true); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (f filePlane) createFile(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	size, err := strconv.ParseInt(r.Header.Get("x-ms-content-length"), 10, 64)
	if err != nil || size < 0 || !strings.EqualFold(r.Header.Get("x-ms-type"), "file") {
		return errHeader
	}
	if size > maxFileSize {
		return errTooLarge
	}
	n := node{Path: t.path, Size: size, Metadata: metadataOf(r.Header), Headers: map[string]string{"Content-Type": "application/octet-stream"}}
	for _, name := range contentHeaders {
		if v := r.Header.Get("x-ms-" + name); v != "" {
			n.Headers[name] = v
		}
	}
	n, err = f.a.shares.make(t.share, n)
	if err != nil {
		return err
	}
	nodeHeaders(w.Header(), n)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// putRange writes or clears bytes first to last.
func (f filePlane) putRange(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	first, last, ok := strings.Cut(strings.TrimPrefix(rangeOf(r.Header), "bytes="), "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || to < from {
		return errHeader
	}
	size := to - from + 1
	var content []byte
	switch strings.ToLower(r.Header.Get("x-ms-write")) {
	case "clear":
		if size > maxFileSize {
			return errRange
		}
		content = make([]byte, size)
	case "update":
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRange))
		if err != nil {
			return err
		}
		if int64(len(raw)) != size {
			return errHeader
		}
		content = raw
	default:
		return errHeader
	}
	n, err := f.a.shares.write(t.share, t.path, from, content)
	if err != nil {
		return err
	}
	stampHeaders(w.Header(), n.ETag, n.Modified)
	w.Header().Set("x-ms-request-server-encrypted", "true")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (f filePlane) serveFile(w http.ResponseWriter, r *http.Request, t fileTarget) error {
	n, err := f.a.shares.find(t.share, t.path, false)
	if err != nil {
		return err
	}
	first, size, partial, err := parseRange(rangeOf(r.Header), n.Size)
	if err != nil {
		return err
	}
	h := w.Header()
	nodeHeaders(h, n)
	for name, value := range n.Headers {
		h.Set(name, value)
	}
	h.Set("x-ms-type", "File")
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	content, err := f.a.shares.read(n, first, size)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", "bytes "+strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(first+size-1, 10)+"/"+strconv.FormatInt(n.Size, 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(content) // a client that has gone needs no more
	return nil
}

func (f filePlane) dropFile(w http.ResponseWriter, _ *http.Request, t fileTarget) error {
	if err := f.a.shares.remove(t.share, t.path, false); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
