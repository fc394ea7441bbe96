package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
)

func newRequest(method, target, body string) *http.Request {
	return httptest.NewRequest(method, "https://patchbay.test"+target, strings.NewReader(body))
}
