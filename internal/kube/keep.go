package kube

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kept is a trimmed object in the form that informers take. The object is never
// changed once it is kept.
type kept struct{ metav1.Object }

// GetObjectKind returns nothing: there is one kind only.
func (*kept) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject shares the object, which is never changed.
func (k *kept) DeepCopyObject() runtime.Object {
	copied := *k
	return &copied
}

// keptList is what one list of the API server returned, trimmed.
type keptList struct {
	metav1.ListMeta
	Items []kept
}

// GetObjectKind returns nothing: there is one kind only.
func (*keptList) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject copies the list. Its items share their objects.
func (l *keptList) DeepCopyObject() runtime.Object {
	copied := *l
	copied.Items = append([]kept(nil), l.Items...)
	return &copied
}

// handover passes what was listed first on to the informers, so that a start
// costs the API server one list and not two.
type handover struct {
	mu    sync.Mutex
	lists map[string]*keptList // by namespace
	done  chan struct{}        // closed once lists were given
	given bool
}

// give takes the lists of all namespaces; only the first call counts.
func (h *handover) give(lists map[string]*keptList) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if !h.given {
		h.lists, h.given = lists, true
		close(h.done)
	}
}

// list returns the list of a namespace once, and nil after that.
func (h *handover) list(namespace string) *keptList {
	h.mu.Lock()
	defer h.mu.Unlock()

	list := h.lists[namespace]
	delete(h.lists, namespace)

	return list
}
