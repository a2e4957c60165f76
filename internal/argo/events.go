package argo

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/liverty-music/image-writeback/internal/image"
)

// ImageChange is one image that was set to another version.
type ImageChange struct{ Image, Old, New string }

// eventAnnotations are those of Argo CD Image Updater's events.
func eventAnnotations(changes []ImageChange) map[string]string {
	annotations := map[string]string{}
	for i, c := range changes {
		name := c.Image
		if ref, err := image.ParseName(c.Image); err == nil && ref.Registry != image.DockerHub {
			name = ref.Repository
		}
		at := fmt.Sprintf("argocd-image-updater.image-%d/", i)
		annotations[at+"full-image-name"] = c.Image
		annotations[at+"image-name"] = name
		annotations[at+"old-tag"] = c.Old
		annotations[at+"new-tag"] = c.New
	}
	return annotations
}

// Updated leaves an Event on an Application: ImagesUpdated, as Argo CD Image
// Updater does. The error says what to grant.
func (c *Cluster) Updated(ctx context.Context, namespace, name string, changes []ImageChange) error {
	app, err := c.dynamic.Resource(applications).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the Application for its Event: %w; grant get on applications.argoproj.io to this account", err)
	}
	now := metav1.NewTime(time.Now())
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", name, now.UnixNano()), Namespace: namespace, Annotations: eventAnnotations(changes)},
		InvolvedObject: corev1.ObjectReference{Kind: "Application", APIVersion: "argoproj.io/v1alpha1", Namespace: namespace, Name: name,
			UID: app.GetUID(), ResourceVersion: app.GetResourceVersion()},
		Source: corev1.EventSource{Component: "image-writeback"}, Type: corev1.EventTypeNormal, Reason: "ImagesUpdated",
		Message: fmt.Sprintf("Successfully updated application '%s'", name), FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if _, err := c.core.CoreV1().Events(namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("leaving an Event on the Application: %w; grant create on events to this account, or set --disable-kube-events", err)
	}
	return nil
}
