package api

import "encoding/json"

// OperationStatus is what the address in Azure-AsyncOperation answers.
type OperationStatus struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	ResourceID string          `json:"resourceId"`
	Status     string          `json:"status"`
	StartTime  string          `json:"startTime"`
	EndTime    string          `json:"endTime,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"` // WriteResult, ValidationReport or null
	Error      *ErrorDetail    `json:"error,omitempty"`
}

// WriteResult are the properties of a finished PUT or PATCH.
type WriteResult struct {
	Message *string `json:"Message"` // a warning, usually null
}

// ValidationReport are the properties of a finished validation. Message is the
// same report once more, as the JSON of a ReportMessage.
type ValidationReport struct {
	Message               string           `json:"Message"`
	LinkerName            string           `json:"linkerName"`
	IsConnectionAvailable bool             `json:"isConnectionAvailable"`
	ValidationDetail      []ValidationItem `json:"validationDetail"`
	ReportStartTimeUTC    string           `json:"reportStartTimeUtc"`
	ReportEndTimeUTC      string           `json:"reportEndTimeUtc"`
	SourceID              *string          `json:"sourceId"`
	TargetID              *string          `json:"targetId"`
	AuthType              *string          `json:"authType"`
}

// ValidationItem is one thing a validation looked at. Code and message stand only
// where something is wrong.
type ValidationItem struct {
	Name         string  `json:"name"`
	Description  *string `json:"description"`
	Result       string  `json:"result"` // success, failure, warning
	ErrorCode    string  `json:"errorCode,omitempty"`
	ErrorMessage string  `json:"errorMessage,omitempty"` // what to do about it
}

// ReportMessage is the form of a report inside ValidationReport.Message.
type ReportMessage struct {
	ConnectionName        string
	IsConnectionAvailable bool
	ValidationDetail      []ReportMessageItem
	ReportStartTimeUTC    string  `json:"ReportStartTimeUtc"`
	ReportEndTimeUTC      string  `json:"ReportEndTimeUtc"`
	SourceID              *string `json:"SourceId"`
	TargetID              *string `json:"TargetId"`
	AuthType              *string
}

// ReportMessageItem is one item there. Result is 0 for success, 1 for failure,
// 2 for a warning.
type ReportMessageItem struct {
	Name        string
	Description *string
	Result      int
}

// ProviderOperation is one action of the namespace, for those who write role definitions.
type ProviderOperation struct {
	Name         string                   `json:"name"`
	IsDataAction bool                     `json:"isDataAction"`
	Display      ProviderOperationDisplay `json:"display"`
}

// ProviderOperationDisplay words an action for people.
type ProviderOperationDisplay struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

// ProviderOperationList is the list of actions; there is one page.
type ProviderOperationList struct {
	Value    []ProviderOperation `json:"value"`
	NextLink *string             `json:"nextLink,omitempty"`
}
