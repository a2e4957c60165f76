package argo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/liverty-music/image-writeback/internal/spec"
)

// cached is an Application as it is kept between cycles: what is read of it,
// and no more. Its status can be a hundred times as large.
type cached struct {
	metav1.ObjectMeta
	app    *Stored
	broken string // why it cannot be read; app is nil then
}

// GetObjectKind says nothing: there is one kind.
func (*cached) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject copies what may be changed; an Application in the cache never is.
func (c *cached) DeepCopyObject() runtime.Object {
	copied := *c
	c.DeepCopyInto(&copied.ObjectMeta)
	return &copied
}

type cachedList struct {
	metav1.ListMeta
	Items []cached
}

// GetObjectKind says nothing: there is one kind.
func (*cachedList) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject copies the list; its items are shared.
func (c *cachedList) DeepCopyObject() runtime.Object {
	copied := *c
	copied.Items = append([]cached(nil), c.Items...)
	return &copied
}

// trim keeps of an Application, in JSON, what is read of it.
func trim(data []byte) cached {
	var slim Stored
	err := json.Unmarshal(data, &slim)
	if err != nil { // its name, at least
		var named metav1.PartialObjectMetadata
		_ = json.Unmarshal(data, &named)
		slim.ObjectMeta = named.ObjectMeta
	}
	from := slim.ObjectMeta
	meta := metav1.ObjectMeta{Namespace: from.Namespace, Name: from.Name, UID: from.UID, ResourceVersion: from.ResourceVersion, Labels: from.Labels}
	if err != nil {
		return cached{ObjectMeta: meta, broken: err.Error()}
	}
	for key, value := range from.Annotations {
		if strings.HasPrefix(key, spec.Prefix) {
			if meta.Annotations == nil {
				meta.Annotations = map[string]string{}
			}
			meta.Annotations[key] = value
		}
	}
	slim.ObjectMeta = meta
	return cached{ObjectMeta: meta, app: &slim}
}

// same tells whether nothing has changed that a cycle should look at at once.
// How an Application fares is told in the next one anyway.
func (c *cached) same(other *cached) bool {
	if c.app == nil || other.app == nil {
		return c.broken == other.broken
	}
	before, after := c.app.Status, other.app.Status
	before.Health = after.Health
	return maps.Equal(c.Annotations, other.Annotations) && maps.Equal(c.Labels, other.Labels) &&
		reflect.DeepEqual(c.app.Spec, other.app.Spec) && reflect.DeepEqual(before, after)
}

// annotated tells whether the Application asks for anything itself.
func (c *cached) annotated() bool { return c.app == nil || Annotated(c.app) }

// pageSize is how many Applications are asked for at a time, so that memory
// never holds more than these as the server sends them.
const pageSize = 500

// list asks the API server for the Applications of a namespace, in pages, each
// of which is trimmed before the next is asked for.
func (c *Cluster) list(ctx context.Context, namespace string) (*cachedList, error) {
	path := []string{"/apis", applications.Group, applications.Version}
	if namespace != metav1.NamespaceAll {
		path = append(path, "namespaces", namespace)
	}
	all := &cachedList{}
	restarts := 0
	for next := ""; ; {
		request := c.discovery.RESTClient().Get().AbsPath(append(path, applications.Resource)...).Param("limit", strconv.Itoa(pageSize))
		if selector := c.selector(); selector != "" {
			request = request.Param("labelSelector", selector)
		}
		if next != "" {
			request = request.Param("continue", next)
		}
		data, err := request.Do(ctx).Raw()
		if apierrors.IsResourceExpired(err) && next != "" && restarts < 3 {
			all, next, restarts = &cachedList{}, "", restarts+1 // the pages took longer than the server keeps a version
			continue
		}
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, fmt.Errorf("the API server's answer cannot be read: %w", err)
		}
		for _, item := range page.Items {
			all.Items = append(all.Items, trim(item))
		}
		all.ResourceVersion = page.Metadata.ResourceVersion
		if next = page.Metadata.Continue; next == "" {
			return all, nil
		}
	}
}

// listWatch is the source of an informer that never holds whole Applications.
func (c *Cluster) listWatch(ctx context.Context, namespace string) cache.ListerWatcher {
	return &cache.ListWatch{
		ListFunc: func(metav1.ListOptions) (runtime.Object, error) {
			if list := c.first.take(namespace); list != nil {
				return list, nil
			}
			return c.list(ctx, namespace)
		},
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = c.selector()
			events, err := c.dynamic.Resource(applications).Namespace(namespace).Watch(ctx, options)
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
				if object, ok := event.Object.(*unstructured.Unstructured); ok {
					data, err := object.MarshalJSON()
					if err != nil {
						return event, false
					}
					trimmed := trim(data)
					event.Object = &trimmed
				}
				return event, true
			}), nil
		},
	}
}

// handover passes what was listed once to the informers, so that a start
// costs the API server one list and not two.
type handover struct {
	mu    sync.Mutex
	lists map[string]*cachedList // by namespace
	done  chan struct{}          // closed once something was given
	given bool
}

func (h *handover) give(lists map[string]*cachedList) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.given {
		h.lists, h.given = lists, true
		close(h.done)
	}
}

func (h *handover) take(namespace string) *cachedList {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.lists[namespace]
	delete(h.lists, namespace)
	return list
}
