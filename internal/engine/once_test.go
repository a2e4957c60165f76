package engine

import (
	"strings"
	"testing"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/plan"
)

// TestALateDeliveryIsTold holds that a delivery which its cycle has not waited for is
// told of by another one, also that of an Application that is written to itself.
func TestALateDeliveryIsTold(t *testing.T) {
	var all deliveries
	release, ended := make(chan struct{}), make(chan struct{})
	var resumed []string
	all.begin(delivery.Job{}, func() []delivery.Outcome {
		<-release
		return []delivery.Outcome{{Kind: delivery.Failed}}
	}, func(address string) { resumed = append(resumed, address) }, func() { close(ended) })

	if got := all.take(); len(got) > 0 || !all.underway() {
		t.Errorf("outcomes %v", got)
	}
	close(release)
	<-ended
	if len(resumed) != 1 || all.underway() {
		t.Errorf("resumed %q", resumed)
	}
	if got := all.take(); len(got) != 1 || len(all.take()) > 0 {
		t.Errorf("outcomes %v", got)
	}
}

// TestTheFewestQuestionsComeFirst holds that what several ask is asked in the turn of the
// project with the fewest questions, and each policy in that of one who has it.
func TestTheFewestQuestionsComeFirst(t *testing.T) {
	all := &questions{byKey: map[string]*question{}}
	add := func(project, image, policy string) {
		if all.byKey[image] == nil {
			all.byKey[image] = &question{}
		}
		all.byKey[image].asks = append(all.byKey[image].asks,
			ask{asker{project, project + "/app"}, &plan.Candidate{}, policy})
	}
	for _, image := range []string{"a", "b", "c", "victim"} {
		add("slow", image, "semver")
	}
	add("slow", "victim", "digest")
	add("victim", "victim", "semver")

	for image, want := range map[string]string{"a": "semver slow", "victim": "digest slow, semver victim"} {
		var got []string
		for _, a := range all.byKey[image].each(all.load()) {
			got = append(got, a.key+" "+a.project)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %s", image, got, want)
		}
	}
}
