// Package arm is the HTTP client for Azure Resource Manager: requests, retries,
// paging, long-running operations, errors, clouds and sign-in.
//
// It promises that every error carries its HTTP facts (*Error) inside a
// *problem.Error, that a write returns only when the cloud has finished it, and
// that a token is sent to the configured endpoint and nowhere else. It never
// logs a body or a token, knows no resource type and keeps no state but the
// pipeline.
package arm
