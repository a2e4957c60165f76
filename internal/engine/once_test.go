package engine

import (
	"testing"

	"github.com/liverty-music/image-writeback/internal/delivery"
	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/plan"
	"github.com/liverty-music/image-writeback/internal/spec"
)

// TestALateDeliveryIsTold holds that a delivery which its cycle has not waited for is
// told of by another one, also that of an Application that is written to itself.
func TestALateDeliveryIsTold(t *testing.T) {
	var all deliveries
	release, ended := make(chan struct{}), make(chan struct{})
	var resumed []string
	all.begin(nil, func() []delivery.Outcome {
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

// TestTheFewestQuestionsComeFirst holds that a question which several Applications have
// is asked in the turn of the one with the fewest.
func TestTheFewestQuestionsComeFirst(t *testing.T) {
	all := &questions{byKey: map[string]*question{}}
	add := func(application, image string) {
		if all.byKey[image] == nil {
			all.byKey[image] = &question{}
		}
		all.byKey[image].asks = append(all.byKey[image].asks, ask{application, &plan.Candidate{}, ""})
	}
	for _, image := range []string{"a", "b", "c", "victim"} {
		add("slow", image)
	}
	add("victim", "victim")

	all.nameAskers()
	if got := all.byKey["victim"].asker; got != "victim" {
		t.Error(got)
	}
	if got := all.byKey["a"].asker; got != "slow" {
		t.Error(got)
	}
}

// TestPoliciesThatNeedLessComeFirst holds that a policy which needs only the list of
// tags is not kept waiting by one that needs every manifest.
func TestPoliciesThatNeedLessComeFirst(t *testing.T) {
	semver := spec.Image{Ref: image.Ref{}}
	semver.Policy.Strategy = "semver"
	platforms := semver
	platforms.Platforms = []string{"linux/amd64"}
	if needs(semver) >= needs(platforms) {
		t.Errorf("%d, %d", needs(semver), needs(platforms))
	}
}
