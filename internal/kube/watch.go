package kube

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Changes is what Watch calls, from any goroutine.
type Changes[T metav1.Object] struct {
	// New reports whether an Application that appears is a change.
	New func(one T) bool
	// Differ reports whether what has happened to an Application is a change.
	Differ func(before, after T) bool
	// Changed is called for each of these changes, and for each change of an
	// ImageUpdater.
	Changed func()
	// Failed is called with what goes wrong, and what to do. It is tried again.
	Failed func(error)
}

// Watch keeps the Applications, so that List does not ask the API server. It
// begins where the first List ended, and returns when ctx ends.
func (a *Applications[T]) Watch(ctx context.Context, changes Changes[T]) {
	select {
	case <-a.first.done:
	case <-ctx.Done():
		return
	}

	var running sync.WaitGroup
	defer running.Wait()
	defer a.stores.Store(nil)

	resources, _ := a.hasImageUpdaters() // ImageUpdaters returns the error
	var stores []cache.Store
	var synced []cache.InformerSynced
	for _, namespace := range a.namespaces() {
		informer := a.informer(ctx, namespace, changes)
		running.Go(func() { informer.Run(ctx.Done()) })
		stores, synced = append(stores, informer.GetStore()), append(synced, informer.HasSynced)

		if resources {
			updaters := a.cluster.imageUpdaterInformer(ctx, namespace, changes.Changed, changes.Failed)
			running.Go(func() { updaters.Run(ctx.Done()) })
		}
	}

	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		a.stores.Store(&stores)
	}
	<-ctx.Done()
}

// informer keeps the Applications of a namespace.
func (a *Applications[T]) informer(
	ctx context.Context, namespace string, changes Changes[T],
) cache.SharedIndexInformer {
	informer := cache.NewSharedIndexInformer(a.listWatch(ctx, namespace), &kept{}, 0, cache.Indexers{})

	// Neither call can fail before the informer is started.
	_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		changes.Failed(watchError(namespace, err))
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			if one, ok := trimmed[T](object); ok && !initial && changes.New(one) {
				changes.Changed()
			}
		},
		UpdateFunc: func(before, after any) {
			b, okB := trimmed[T](before)
			a, okA := trimmed[T](after)
			if okB && okA && changes.Differ(b, a) {
				changes.Changed()
			}
		},
	})

	return informer
}

// listWatch is the source of an informer that never holds whole Applications.
func (a *Applications[T]) listWatch(ctx context.Context, namespace string) cache.ListerWatcher {
	client := a.cluster.dynamic.Resource(applications).Namespace(namespace)

	return &cache.ListWatch{
		ListFunc: func(metav1.ListOptions) (runtime.Object, error) {
			if list := a.first.list(namespace); list != nil {
				return list, nil
			}

			return a.list(ctx, namespace)
		},
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = a.selection.Labels
			events, err := client.Watch(ctx, options)
			if err != nil {
				return nil, err
			}

			return watch.Filter(events, a.trimEvent), nil
		},
	}
}

// trimEvent trims the Application of one event of a watch.
func (a *Applications[T]) trimEvent(event watch.Event) (_ watch.Event, keep bool) {
	object, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		return event, true
	}

	data, err := object.MarshalJSON()
	if err != nil {
		return event, false
	}
	event.Object = &kept{a.trim(data)}

	return event, true
}

// imageUpdaterInformer calls changed whenever an ImageUpdater appears, is
// deleted, or has another spec.
func (c *Cluster) imageUpdaterInformer(
	ctx context.Context, namespace string, changed func(), failed func(error),
) cache.SharedIndexInformer {
	client := c.dynamic.Resource(imageUpdaters).Namespace(namespace)
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListFunc:  func(options metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, options) },
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) { return client.Watch(ctx, options) },
	}, &unstructured.Unstructured{}, 0, cache.Indexers{})

	// Neither call can fail before the informer is started.
	_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		failed(fmt.Errorf("watching ImageUpdaters: %w; until that succeeds, "+
			"their changes are noticed in the next cycle", err))
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(_ any, initial bool) {
			if !initial {
				changed()
			}
		},
		UpdateFunc: func(before, after any) {
			b, okB := before.(*unstructured.Unstructured)
			a, okA := after.(*unstructured.Unstructured)
			if okB && okA && b.GetGeneration() != a.GetGeneration() {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})

	return informer
}
