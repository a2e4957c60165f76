package argo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/liverty-music/image-writeback/internal/spec"
)

var (
	applications  = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	imageUpdaters = schema.GroupVersionResource{Group: "argocd-image-updater.argoproj.io", Version: "v1alpha1", Resource: "imageupdaters"}
)

// Cluster is a source of Applications, and of the Secrets that they name, from
// the Kubernetes API.
type Cluster struct {
	Selection Selection
	Defaults  Defaults

	namespace string
	dynamic   dynamic.Interface
	// One client for each group that is used: the set of all is twice as large.
	core         corev1.CoreV1Interface
	coordination coordinationv1.CoordinationV1Interface
	discovery    discovery.DiscoveryInterface
	// resources tells that there are ImageUpdaters, which may speak of any
	// Application.
	resources atomic.Bool
	// without tells that the cluster did not know ImageUpdaters when it was
	// last asked.
	without atomic.Bool
	// stores are what Watch keeps; nil until it has seen all Applications once.
	stores atomic.Pointer[[]cache.Store]
	// first is what the first List found, from which Watch goes on.
	first handover
}

// NewCluster connects through a kubeconfig and context, both as kubectl finds
// them where they are empty, or with the pod's own credentials.
// wrap may count requests; nil: nobody does.
func NewCluster(kubeconfig, kubecontext string, selection Selection, defaults Defaults, wrap func(http.RoundTripper) http.RoundTripper) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubecontext})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w; give --kubeconfig, or --applications to read Applications from files", err)
	}
	config.QPS = -1 // the API server itself says when it is too much; so many requests at a time are bounded
	if wrap != nil {
		config.Wrap(wrap)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	c := &Cluster{Selection: selection, Defaults: defaults, namespace: namespace, first: handover{done: make(chan struct{})}}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	if c.core, err = corev1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	if c.coordination, err = coordinationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	if c.discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return c, nil
}

// Namespace is the kubeconfig context's or the pod's own.
func (c *Cluster) Namespace() string { return c.namespace }

// Leases are those of a namespace.
func (c *Cluster) Leases(namespace string) coordinationv1.LeaseInterface {
	return c.coordination.Leases(namespace)
}

// namespaces to ask for; the empty one is all of them.
func (c *Cluster) namespaces() []string {
	if len(c.Selection.Namespaces) > 0 {
		return c.Selection.Namespaces
	}
	return []string{metav1.NamespaceAll}
}

func (c *Cluster) selector() string {
	if c.Selection.Labels == nil {
		return ""
	}
	return c.Selection.Labels.String()
}

// List returns the selected Applications: those that Watch keeps, while it
// runs, else as the API server has them. What cannot be read of one
// Application is a Problem.
func (c *Cluster) List(ctx context.Context) ([]spec.Application, []spec.Problem, error) {
	updaters, problems, err := c.imageUpdaters(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.resources.Store(len(updaters) > 0)
	var apps []spec.Application
	take := func(one *cached) {
		if one.app == nil {
			problems = append(problems, spec.Problem{Application: one.Namespace + "/" + one.Name, Expected: "it is no Application that Argo CD 2.14 knows: " + one.broken, Remedy: "correct the Application"})
			return
		}
		if read, ok := c.Selection.take(one.app, updaters, c.Defaults, origin{}); ok {
			apps = append(apps, read)
		}
	}
	if stores := c.stores.Load(); stores != nil {
		for _, store := range *stores {
			for _, object := range store.List() {
				if one, ok := object.(*cached); ok {
					take(one)
				}
			}
		}
	} else {
		lists := map[string]*cachedList{}
		for _, namespace := range c.namespaces() {
			list, err := c.list(ctx, namespace)
			if err != nil {
				return nil, nil, listError(namespace, err)
			}
			for i := range list.Items {
				take(&list.Items[i])
			}
			lists[namespace] = list
		}
		c.first.give(lists)
	}
	slices.SortFunc(apps, func(a, b spec.Application) int { return strings.Compare(a.String(), b.String()) })
	return apps, problems, nil
}

// imageUpdaters lists the resources of Argo CD Image Updater 1.x, in a cluster
// that has them.
func (c *Cluster) imageUpdaters(ctx context.Context) ([]*ImageUpdater, []spec.Problem, error) {
	if there, err := c.hasImageUpdaters(); err != nil || !there {
		return nil, nil, err
	}
	var updaters []*ImageUpdater
	var problems []spec.Problem
	for _, namespace := range c.namespaces() {
		list, err := c.dynamic.Resource(imageUpdaters).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("listing ImageUpdaters: %w; grant list and watch on imageupdaters.argocd-image-updater.argoproj.io to this account", err)
		}
		for i := range list.Items {
			u, err := imageUpdaterFrom(list.Items[i].Object)
			if err != nil {
				problems = append(problems, spec.Problem{Expected: fmt.Sprintf("ImageUpdater %s/%s cannot be read: %s", list.Items[i].GetNamespace(), list.Items[i].GetName(), err), Remedy: "correct it; it is left alone until then"})
				continue
			}
			updaters = append(updaters, u)
		}
	}
	slices.SortFunc(updaters, func(a, b *ImageUpdater) int { return strings.Compare(a.String(), b.String()) })
	return updaters, problems, nil
}

// hasImageUpdaters tells whether the cluster knows the resource, which any
// account may ask. An API server that does not answer is an error, unless the
// resource was not there before: what an ImageUpdater says must not be
// forgotten for a moment, in which old annotations would count.
func (c *Cluster) hasImageUpdaters() (bool, error) {
	found, err := c.discovery.ServerResourcesForGroupVersion(imageUpdaters.GroupVersion().String())
	switch {
	case err == nil:
		there := slices.ContainsFunc(found.APIResources, func(r metav1.APIResource) bool { return r.Name == imageUpdaters.Resource })
		c.without.Store(!there)
		return there, nil
	case apierrors.IsNotFound(err):
		c.without.Store(true)
		return false, nil
	case apierrors.IsForbidden(err):
		return true, nil // listing them tells
	case c.without.Load():
		return false, nil
	case apierrors.IsUnauthorized(err):
		return false, fmt.Errorf("asking the cluster for its resources: %w; the credentials of the kubeconfig are not accepted", err)
	}
	return false, fmt.Errorf("asking the cluster for its resources: %w; check that the API server can be reached from here", err)
}

func listError(namespace string, err error) error {
	return fmt.Errorf("listing Applications %s: %w%s", where(namespace), err, remedyOf(err))
}

func watchError(namespace string, err error) error {
	return fmt.Errorf("watching Applications %s: %w%s; until that succeeds, changes are not seen", where(namespace), err, remedyOf(err))
}

func where(namespace string) string {
	if namespace == "" {
		return "in all namespaces"
	}
	return "in namespace " + namespace
}

func remedyOf(err error) string {
	remedy := ""
	switch {
	case apierrors.IsNotFound(err):
		remedy = "; is Argo CD installed? Its Application resource is not there"
	case apierrors.IsForbidden(err):
		remedy = "; grant list and watch on applications.argoproj.io to this account"
	case apierrors.IsUnauthorized(err):
		remedy = "; the credentials of the kubeconfig are not accepted"
	}
	return remedy
}

// Watch keeps the selected Applications, so that List need not ask for them,
// and calls changed whenever one appears, its annotations, its spec or its
// running images change, or an ImageUpdater does. It begins where the first
// List ended, and returns when ctx ends. What goes wrong meanwhile is tried
// again, and told to failed with what to do.
func (c *Cluster) Watch(ctx context.Context, changed func(), failed func(error)) {
	select {
	case <-c.first.done:
	case <-ctx.Done():
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer c.stores.Store(nil)
	resources, _ := c.hasImageUpdaters() // List says what is wrong
	var stores []cache.Store
	var synced []cache.InformerSynced
	matters := func(one *cached) bool { return one.annotated() || c.resources.Load() }
	for _, namespace := range c.namespaces() {
		informer := cache.NewSharedIndexInformer(c.listWatch(ctx, namespace), &cached{}, 0, cache.Indexers{})
		// Added before the start, when it cannot fail.
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(object any, initial bool) {
				if one, ok := object.(*cached); ok && !initial && matters(one) {
					changed()
				}
			},
			UpdateFunc: func(before, after any) {
				a, okA := before.(*cached)
				b, okB := after.(*cached)
				if okA && okB && (matters(a) || matters(b)) && !a.same(b) {
					changed()
				}
			},
		})
		_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) { failed(watchError(namespace, err)) })
		running.Go(func() { informer.Run(ctx.Done()) })
		stores, synced = append(stores, informer.GetStore()), append(synced, informer.HasSynced)
		if resources {
			defer c.watchImageUpdaters(ctx, namespace, changed, failed)()
		}
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		c.stores.Store(&stores)
	}
	<-ctx.Done()
}

// watchImageUpdaters calls changed whenever one comes, goes, or says something
// else. stop waits for its end.
func (c *Cluster) watchImageUpdaters(ctx context.Context, namespace string, changed func(), failed func(error)) (stop func()) {
	client := c.dynamic.Resource(imageUpdaters).Namespace(namespace)
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListFunc:  func(options metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, options) },
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) { return client.Watch(ctx, options) },
	}, &unstructured.Unstructured{}, 0, cache.Indexers{})
	// Both are set before the start, when they cannot fail.
	_ = informer.SetWatchErrorHandler(func(_ *cache.Reflector, err error) {
		failed(fmt.Errorf("watching ImageUpdaters: %w; their changes count from the next cycle", err))
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(_ any, initial bool) {
			if !initial {
				changed()
			}
		},
		UpdateFunc: func(before, after any) {
			a, okA := before.(*unstructured.Unstructured)
			b, okB := after.(*unstructured.Unstructured)
			if okA && okB && a.GetGeneration() != b.GetGeneration() {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	var running sync.WaitGroup
	running.Go(func() { informer.Run(ctx.Done()) })
	return running.Wait
}

// Secret returns the data of a Secret. The error names the Secret and what to
// do, never its content.
func (c *Cluster) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	secret, err := c.core.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the Secret %s/%s does not exist; create it", namespace, name)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the Secret %s/%s may not be read; grant get on it to this account", namespace, name)
	case err != nil:
		return nil, fmt.Errorf("reading the Secret %s/%s: %w", namespace, name, err)
	}
	return secret.Data, nil
}
