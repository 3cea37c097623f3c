package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// The resources of the REST API, with the fields that are known here. A client that
// sends another is refused.

type datasetResource struct {
	Kind             string           `json:"kind,omitempty"`
	ID               string           `json:"id,omitempty"`
	ETag             string           `json:"etag,omitempty"`
	DatasetReference datasetReference `json:"datasetReference"`
	Location         string           `json:"location,omitempty"`
	Description      string           `json:"description,omitempty"`
}

type datasetReference struct {
	ProjectID string `json:"projectId,omitempty"`
	DatasetID string `json:"datasetId,omitempty"`
}

type tableReference struct {
	ProjectID string `json:"projectId,omitempty"`
	DatasetID string `json:"datasetId,omitempty"`
	TableID   string `json:"tableId,omitempty"`
}

type tableResource struct {
	Kind             string            `json:"kind,omitempty"`
	ID               string            `json:"id,omitempty"`
	ETag             string            `json:"etag,omitempty"`
	Type             string            `json:"type,omitempty"`
	CreationTime     string            `json:"creationTime,omitempty"`
	LastModifiedTime string            `json:"lastModifiedTime,omitempty"`
	NumRows          string            `json:"numRows,omitempty"`
	TableReference   tableReference    `json:"tableReference"`
	Description      string            `json:"description,omitempty"`
	FriendlyName     string            `json:"friendlyName,omitempty"`
	MaxStaleness     string            `json:"maxStaleness,omitempty"`
	Schema           *schemaResource   `json:"schema,omitempty"`
	View             *viewResource     `json:"view,omitempty"`
	TableConstraints *constraints      `json:"tableConstraints,omitempty"`
	TimePartitioning *timePartitioning `json:"timePartitioning,omitempty"`
	Clustering       *clustering       `json:"clustering,omitempty"`
}

type schemaResource struct {
	Fields []column `json:"fields"`
}

type viewResource struct {
	Query        string `json:"query"`
	UseLegacySQL *bool  `json:"useLegacySql"` // absent, the vendor takes it for true
}

type constraints struct {
	PrimaryKey *primaryKey `json:"primaryKey,omitempty"`
}

type primaryKey struct {
	Columns []string `json:"columns"`
}

type timePartitioning struct {
	Type         string `json:"type"`
	Field        string `json:"field,omitempty"`
	ExpirationMs string `json:"expirationMs,omitempty"`
	// RequirePartitionFilter is a fact about queries that is not known here.
	RequirePartitionFilter bool `json:"requirePartitionFilter,omitempty"`
}

type clustering struct {
	Fields []string `json:"fields"`
}

// apiError is an error as the REST API answers it.
type apiError struct {
	code            int
	reason, message string
}

func (e *apiError) Error() string { return e.message }

func notFound(format string, args ...any) error {
	return &apiError{http.StatusNotFound, "notFound", "Not found: " + fmt.Sprintf(format, args...)}
}

func duplicate(format string, args ...any) error {
	return &apiError{http.StatusConflict, "duplicate", "Already Exists: " + fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, "invalid", fmt.Sprintf(format, args...)}
}

func invalidQuery(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, "invalidQuery", fmt.Sprintf(format, args...)}
}

// read decodes a request's body, and refuses fields that are not known here.
func read(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalid("The stand-in can't read the request: %v", err)
	}
	return nil
}

// answer writes what a handler gave.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e, ok := errors.AsType[*apiError](err)
		if !ok {
			e = &apiError{http.StatusInternalServerError, "internalError", err.Error()}
		}
		w.WriteHeader(e.code)
		v = map[string]any{"error": map[string]any{
			"code": e.code, "message": e.message,
			"errors": []any{map[string]any{"reason": e.reason, "message": e.message, "domain": "global"}},
		}}
	}
	json.NewEncoder(w).Encode(v)
}
