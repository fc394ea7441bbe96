package storage

import (
	"encoding/xml"
	"net/http"
	"strconv"
)

// wireError is an error in the protocol's terms.
type wireError struct {
	status        int
	code, message string
	challenge     bool
}

func (e *wireError) Error() string { return e.code }

// The protocol's errors, in Azure's codes.
var (
	errAuthentication    = &wireError{status: http.StatusForbidden, code: "AuthenticationFailed", message: "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature."}
	errNoAuthentication  = &wireError{status: http.StatusUnauthorized, code: "NoAuthenticationInformation", message: "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.", challenge: true}
	errToken             = &wireError{status: http.StatusUnauthorized, code: "InvalidAuthenticationInfo", message: "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.", challenge: true}
	errPermission        = &wireError{status: http.StatusForbidden, code: "AuthorizationPermissionMismatch", message: "This request is not authorized to perform this operation using this permission."}
	errNetwork           = &wireError{status: http.StatusForbidden, code: "AuthorizationFailure", message: "This request is not authorized to perform this operation."}
	errKeysOff           = &wireError{status: http.StatusForbidden, code: "KeyBasedAuthenticationNotPermitted", message: "Key based authentication is not permitted on this storage account."}
	errPublicAccess      = &wireError{status: http.StatusConflict, code: "PublicAccessNotPermitted", message: "Public access is not permitted on this storage account."}
	errResourceNotFound  = &wireError{status: http.StatusNotFound, code: "ResourceNotFound", message: "The specified resource does not exist."}
	errContainerNotFound = &wireError{status: http.StatusNotFound, code: "ContainerNotFound", message: "The specified container does not exist."}
	errContainerExists   = &wireError{status: http.StatusConflict, code: "ContainerAlreadyExists", message: "The specified container already exists."}
	errBlobNotFound      = &wireError{status: http.StatusNotFound, code: "BlobNotFound", message: "The specified blob does not exist."}
	errBlobExists        = &wireError{status: http.StatusConflict, code: "BlobAlreadyExists", message: "The specified blob already exists."}
	errCondition         = &wireError{status: http.StatusPreconditionFailed, code: "ConditionNotMet", message: "The condition specified using HTTP conditional header(s) is not met."}
	errNotModified       = &wireError{status: http.StatusNotModified, code: "ConditionNotMet", message: "The condition specified using HTTP conditional header(s) is not met."}
	errRange             = &wireError{status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidRange", message: "The range specified is invalid for the current size of the resource."}
	errName              = &wireError{status: http.StatusBadRequest, code: "InvalidResourceName", message: "The specified resource name contains invalid characters."}
	errQuery             = &wireError{status: http.StatusBadRequest, code: "InvalidQueryParameterValue", message: "Value for one of the query parameters specified in the request URI is invalid or not offered by the local cloud."}
	errVerb              = &wireError{status: http.StatusMethodNotAllowed, code: "UnsupportedHttpVerb", message: "The resource doesn't support specified Http Verb."}
	errBlobType          = &wireError{status: http.StatusBadRequest, code: "InvalidHeaderValue", message: "The value for one of the HTTP headers is not in the correct format: the local cloud keeps block blobs only."}
	errMD5               = &wireError{status: http.StatusBadRequest, code: "Md5Mismatch", message: "The MD5 value specified in the request did not match with the MD5 value calculated by the server."}
	errLength            = &wireError{status: http.StatusLengthRequired, code: "MissingContentLengthHeader", message: "The content length header is missing."}
	errTooLarge          = &wireError{status: http.StatusRequestEntityTooLarge, code: "RequestBodyTooLarge", message: "The request body is too large and exceeds the maximum permissible limit."}
	errInternal          = &wireError{status: http.StatusInternalServerError, code: "InternalError", message: "The server encountered an internal error. Please retry the request."}
)

// fail writes an error; its code also stands in a header, because an answer to
// HEAD has no body.
func (a *account) fail(w http.ResponseWriter, r *http.Request, e *wireError) {
	w.Header().Set("x-ms-error-code", e.code)
	if e.challenge {
		w.Header().Set("WWW-Authenticate", a.challenge())
	}
	if r.Method == http.MethodHead || e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	writeXML(w, e.status, struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: e.code, Message: e.message})
}

// challenge tells a client without a credential where to get a token.
func (a *account) challenge() string {
	return "Bearer authorization_uri=" + a.cloud.URL() + "/common/oauth2/authorize resource_id=" + publicAudience
}

func writeXML(w http.ResponseWriter, status int, v any) {
	raw, err := xml.Marshal(v)
	if err != nil {
		panic(err) // our own types; net/http turns it into a closed connection
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(xml.Header)+len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), raw...)) // a client that has gone needs no answer
}
