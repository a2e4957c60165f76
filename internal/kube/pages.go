package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// pageSize is how many objects are asked for at a time, so that memory never
	// holds more of them in the form that the server sends.
	pageSize = 500
	// listRestarts is how often a list is started again because its pages took
	// longer than the server keeps a version.
	listRestarts = 3
)

// pages lists objects of one resource in pages. Each object is reduced to what is kept
// before the next page is asked for.
type pages[T any] struct {
	cluster   *Cluster
	resource  schema.GroupVersionResource
	namespace string // empty: all
	labels    string // a selector; empty: all
	trim      func(data []byte) T
}

// list returns all objects, and the version of the list. Its errors are those of the
// API server.
func (p pages[T]) list(ctx context.Context) (all []T, version string, err error) {
	restarts := 0

	for next := ""; ; {
		data, err := p.page(ctx, next)
		if apierrors.IsResourceExpired(err) && next != "" && restarts < listRestarts {
			all, next, restarts = nil, "", restarts+1
			continue
		}
		if err != nil {
			return nil, "", err
		}

		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, "", fmt.Errorf("reading the API server's answer: %w", err)
		}

		for _, item := range page.Items {
			all = append(all, p.trim(item))
		}

		if next = page.Metadata.Continue; next == "" {
			return all, page.Metadata.ResourceVersion, nil
		}
	}
}

// page asks for one page; next is what the page before returned.
func (p pages[T]) page(ctx context.Context, next string) ([]byte, error) {
	path := []string{"/apis", p.resource.Group, p.resource.Version}
	if p.namespace != metav1.NamespaceAll {
		path = append(path, "namespaces", p.namespace)
	}

	client := p.cluster.discovery.RESTClient()
	request := client.Get().AbsPath(append(path, p.resource.Resource)...).Param("limit", strconv.Itoa(pageSize))
	if p.labels != "" {
		request = request.Param("labelSelector", p.labels)
	}
	if next != "" {
		request = request.Param("continue", next)
	}

	return request.Do(ctx).Raw()
}
