package argo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/liverty-music/image-writeback/internal/image"
)

// eventAnnotations are those of Argo CD Image Updater's events.
func eventAnnotations(changes []image.Change) map[string]string {
	annotations := map[string]string{}
	for i, c := range changes {
		name := c.Image
		if ref, err := image.ParseName(c.Image); err == nil && ref.Registry != image.DockerHub {
			name = ref.Repository
		}
		at := fmt.Sprintf("argocd-image-updater.image-%d/", i)
		annotations[at+"full-image-name"] = c.Image
		annotations[at+"image-name"] = name
		annotations[at+"old-tag"] = c.Old.String()
		annotations[at+"new-tag"] = c.New.String()
	}
	return annotations
}

// Event is something to be told on an Application.
type Event struct {
	// Warning tells of a failure. It is told once for each Message, as long as
	// the cluster remembers it; anything else is told each time.
	Warning bool
	Reason  string // one word, such as ImagesUpdated
	Message string
	Changes []image.Change // of images that were updated
}

// Tell leaves an Event on an Application, by its UID. The error says what to grant.
func (c *Cluster) Tell(ctx context.Context, namespace, name, uid string, event Event) error {
	now := metav1.NewTime(time.Now())
	object := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", name, now.UnixNano()), Namespace: namespace, Annotations: eventAnnotations(event.Changes)},
		InvolvedObject: corev1.ObjectReference{Kind: "Application", APIVersion: "argoproj.io/v1alpha1", Namespace: namespace, Name: name,
			UID: types.UID(uid)},
		Source: corev1.EventSource{Component: "image-writeback"}, Type: corev1.EventTypeNormal, Reason: event.Reason,
		Message: shortened(event.Message), FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if event.Warning {
		object.Type = corev1.EventTypeWarning
		cause := sha256.Sum256([]byte(uid + event.Reason + event.Message))
		object.Name = fmt.Sprintf("%s.%x", name, cause[:8])
	}
	_, err := c.core.Events(namespace).Create(ctx, object, metav1.CreateOptions{})
	if event.Warning && apierrors.IsAlreadyExists(err) {
		return nil // it was told before
	}
	if err != nil {
		return fmt.Errorf("leaving an Event on the Application: %w; grant create on events to this account, or set --disable-kube-events", err)
	}
	return nil
}

// longestMessage is what the API server takes of an Event's message.
const longestMessage = 1024

func shortened(message string) string {
	if len(message) > longestMessage {
		return strings.ToValidUTF8(message[:longestMessage-3], "") + "…"
	}
	return message
}
