package kube

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/liverty-music/image-writeback/internal/escape"
)

// Event is a Kubernetes Event about an Application.
type Event struct {
	Namespace, Name, UID string // of the Application

	// Warning is for a failure. It is created once for each Reason and Message,
	// as long as the cluster keeps it; any other Event is created each time.
	Warning     bool
	Reason      string // one word, such as ImagesUpdated
	Message     string // shown in one line, and shortened if it is longer than Kubernetes allows
	Annotations map[string]string
}

// CreateEvent creates an Event. The error says what to grant.
func (c *Cluster) CreateEvent(ctx context.Context, event Event) error {
	now := metav1.NewTime(time.Now())
	object := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("%s.%x", event.Name, now.UnixNano()),
			Namespace:   event.Namespace,
			Annotations: event.Annotations,
		},
		InvolvedObject: corev1.ObjectReference{
			Kind:       application.ApplicationKind,
			APIVersion: applications.GroupVersion().String(),
			Namespace:  event.Namespace,
			Name:       event.Name,
			UID:        types.UID(event.UID),
		},
		Source: corev1.EventSource{Component: fieldManager},
		Type:   corev1.EventTypeNormal, Reason: event.Reason,
		Message:        escape.Cut(escape.Line(event.Message), longestMessage),
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}

	// The same failure has the same name, so that the cluster refuses it the
	// second time.
	if event.Warning {
		object.Type = corev1.EventTypeWarning
		cause := sha256.Sum256([]byte(event.UID + event.Reason + event.Message))
		object.Name = fmt.Sprintf("%s.%x", event.Name, cause[:8])
	}

	_, err := c.core.Events(event.Namespace).Create(ctx, object, metav1.CreateOptions{})
	if event.Warning && apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("creating an Event for the Application: %w; grant create on events to this account, "+
			"or set --disable-kube-events", err)
	}

	return nil
}

// longestMessage is how long the API server allows the message of an Event to be.
const longestMessage = 1024
