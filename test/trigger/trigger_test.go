package trigger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/liverty-music/image-writeback/internal/sandbox"
	sandboxpubsub "github.com/liverty-music/image-writeback/internal/sandbox/pubsub"
	"github.com/liverty-music/image-writeback/internal/sandbox/registry"
	"github.com/liverty-music/image-writeback/internal/sandbox/world"
	"github.com/liverty-music/image-writeback/test/harness"
)

const webhookSecret = "between-us"

// listening is a service that receives webhooks. Its interval is an hour, so that
// only triggers start cycles.
type listening struct {
	*harness.Service
	world  *world.World
	events string // address
}

// listen starts the service with a configuration, to which it adds events.
func listen(t *testing.T, w *world.World, config string, more ...string) *listening {
	t.Helper()
	address, secret := harness.FreeAddress(t), harness.Write(t, filepath.Join(t.TempDir(), "secret"),
		webhookSecret+"\n")
	config = strings.Replace(config, "interval: 1s", "interval: 1h", 1) +
		fmt.Sprintf("events:\n  listen: %q\n  secretFiles: {harbor: %s, github: %s}\n", address, secret, secret) +
		strings.Join(more, "")
	s := &listening{Service: harness.Serve(t, config, "--applications", w.Applications), world: w, events: address}
	s.Says("cycle done", 1)

	return s
}

// harborEvent is the webhook that Harbor sends for a push.
func harborEvent(image, tag string) string {
	host, repository, _ := strings.Cut(image, "/")
	return fmt.Sprintf(`{"type": "PUSH_ARTIFACT", "event_data": {"resources": [{"tag": %q, "resource_url": `+
		`"%s/%s:%s"}], "repository": {"repo_full_name": %q}}}`, tag, host, repository, tag, repository)
}

// image sends the webhook for a push of an image.
func (s *listening) image(image, tag, secret string) int {
	s.T.Helper()
	return s.post("harbor", harborEvent(image, tag), http.Header{"Authorization": {secret}})
}

// pushed sends the webhook for a push to main of the example.
func (s *listening) pushed(head string) {
	s.T.Helper()
	body := fmt.Sprintf(`{"ref": "refs/heads/main", "after": %q, "repository": {"clone_url": %q}}`, head,
		s.world.Git.URLOf(world.Repository))
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	_, _ = mac.Write([]byte(body))
	if status := s.post("github", body, http.Header{"X-Github-Event": {"push"},
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}}); status != http.StatusOK {
		s.T.Fatalf("a webhook about a push: %d", status)
	}
}

func (s *listening) post(kind, body string, header http.Header) int {
	s.T.Helper()
	request, err := http.NewRequestWithContext(s.T.Context(), http.MethodPost, "http://"+s.events+"/webhook?type="+
		kind, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}

	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.T.Fatal(err)
	}

	_ = response.Body.Close()

	return response.StatusCode
}

// requests are how many requests the world has served, without those to GitHub.
type requests struct{ list, manifest, advertise, fetch, push int }

func (s *listening) requests() requests {
	git, registry := s.world.Git, s.world.Registry
	return requests{registry.Count("list"), registry.Count("manifest"), git.Count("advertise"), git.Count("fetch"),
		git.Count("push")}
}

func (a requests) since(b requests) requests {
	return requests{a.list - b.list, a.manifest - b.manifest, a.advertise - b.advertise, a.fetch - b.fetch,
		a.push - b.push}
}

func (s *listening) landed(build string) {
	s.T.Helper()
	harness.Await(s.T, "the commit of "+build, func() bool {
		return strings.Contains(harness.Show(s.T, s.world.Git, world.Repository, world.DevFile), build)
	})
}

// sequence is a service that receives one webhook after another.
type sequence struct {
	*listening
	cycles int    // that have run
	build  string // the newest image
}

// TestEvents sends a service webhooks about images and about pushes: each leads to
// exactly the requests that it needs.
func TestEvents(t *testing.T) {
	w := harness.NewWorld(t)
	s := &sequence{listening: listen(t, w, harness.ReadFile(t, w.Config)), cycles: 1}
	s.step("an image, before the first webhook about a push", s.pushImage, requests{list: 1, advertise: 1, push: 1})

	// A webhook about the updater's own push leads to no request.
	before := s.requests()
	s.pushed(s.head())
	s.step("an image, after the first webhook about a push", s.pushImage, requests{list: 1, push: 1})
	if got := s.requests().since(before); got.advertise != 0 {
		t.Errorf("the updater's own push led to %+v", got)
	}

	// A push by somebody else is fetched, without a request to the registry.
	s.commit("Say more", "README.md", "More.\n")
	s.step("a push by somebody else", func() { s.pushed(s.head()) }, requests{advertise: 1, fetch: 1})

	// Somebody sets an older tag: the last choice is used, without a request to the registry.
	old := strings.Replace(harness.Show(t, w.Git, world.Repository, world.DevFile), s.build, "latest", 1)
	s.commit("Go back", world.DevFile, old)
	s.step("a tag that was changed by hand", func() { s.pushed(s.head()); s.landed(s.build) },
		requests{advertise: 1, fetch: 1, push: 1})

	// An image that no Application uses and a forged webhook lead to no request. The
	// webhook after them shows that they have been processed.
	before = s.requests()
	s.image("asia-northeast2-docker.pkg.dev/liverty-music-dev/backend/other", "v1", webhookSecret)
	if status := s.image(world.Image, "v9", "guessed"); status != http.StatusUnauthorized {
		t.Errorf("a forged webhook: %d", status)
	}

	s.post("harbor", "{", http.Header{"Authorization": {webhookSecret}})
	s.step("an image, after webhooks that no Application needs", s.pushImage, requests{list: 1, push: 1})
	if got := s.requests().since(before); got != (requests{list: 1, push: 1}) {
		t.Errorf("webhooks that no Application needs led to %+v", got)
	}

	s.reports()
}

// step does something, waits for its cycle, and compares the requests.
func (s *sequence) step(what string, do func(), want requests) {
	s.T.Helper()
	before := s.requests()
	do()
	s.cycles++
	s.Says("cycle done", s.cycles)
	if got := s.requests().since(before); got != want {
		s.T.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// head is the newest commit of main.
func (s *sequence) head() string {
	s.T.Helper()
	hash, err := s.world.Git.Head(world.Repository, "main")
	if err != nil {
		s.T.Fatal(err)
	}

	return hash
}

// commit commits a file to main.
func (s *sequence) commit(message, file, content string) {
	s.T.Helper()
	if err := s.world.Git.Commit(world.Repository, "main", message, map[string]string{file: content}); err != nil {
		s.T.Fatal(err)
	}
}

// pushImage pushes an image, sends its webhook, and waits for the commit.
func (s *sequence) pushImage() {
	s.T.Helper()
	s.build = s.world.Build()
	if status := s.image(world.Image, s.build, webhookSecret); status != http.StatusOK {
		s.T.Fatalf("status %d", status)
	}

	s.landed(s.build)
}

// reports checks the metrics and the log at the end of TestEvents.
func (s *listening) reports() {
	t := s.T
	t.Helper()
	metrics := harness.Get(t, "http://"+s.Health+"/metrics")
	for _, line := range []string{
		`image_writeback_events_total{result="accepted",type="harbor"} 4`,
		`image_writeback_events_total{result="forged",type="harbor"} 1`,
		`image_writeback_events_total{result="malformed",type="harbor"} 1`,
		`image_writeback_events_total{result="accepted",type="github"} 3`,
		"argocd_image_updater_applications_watched_total 2",
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}

	if strings.Contains(s.Log.String()+metrics, webhookSecret) {
		t.Error("the secret is in the log or the metrics")
	}

	if !strings.Contains(s.Log.String(), `msg="cycle done" about=`+world.Image+` applications=2`) {
		t.Errorf("the log does not say what a cycle was about")
	}
}

// TestAnEventThatFailsIsTriedAgain has the registry fail when a webhook arrives: the
// cycle is retried soon, not in an hour.
func TestAnEventThatFailsIsTriedAgain(t *testing.T) {
	w := harness.NewWorld(t)
	s := listen(t, w, harness.ReadFile(t, w.Config))
	var mu sync.Mutex
	broken := true
	w.Registry.Fault = func(rw http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			http.Error(rw, "no", http.StatusForbidden)
		}
		return broken
	}

	build := w.Build()
	s.image(world.Image, build, webhookSecret)
	s.Says("answered 403 Forbidden", 1)
	mu.Lock()
	broken = false
	mu.Unlock()
	s.landed(build)
}

// TestAPushThatCannotBeReadIsTriedAgain has git fail when the webhook about a push
// arrives that reverts an update.
func TestAPushThatCannotBeReadIsTriedAgain(t *testing.T) {
	w := harness.NewWorld(t)
	s := listen(t, w, harness.ReadFile(t, w.Config))
	written := harness.Show(t, w.Git, world.Repository, world.DevFile)
	var mu sync.Mutex
	broken := true
	w.Git.Fault = func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		fails := broken && strings.HasSuffix(r.URL.Path, "/git-upload-pack")
		if fails {
			http.Error(rw, "no", http.StatusInternalServerError)
		}
		return fails
	}

	if err := w.Git.Commit(world.Repository, "main", "Go back",
		map[string]string{world.DevFile: strings.Replace(written, w.Newest, "latest", 1),
			"README.md": "New.\n"}); err != nil {
		t.Fatal(err)
	}

	head, err := w.Git.Head(world.Repository, "main")
	if err != nil {
		t.Fatal(err)
	}

	s.pushed(head)
	s.Says("image cannot be updated", 1)
	mu.Lock()
	broken = false
	mu.Unlock()
	s.landed(w.Newest)
}

// TestAnEventKeepsWhatOthersPropose has two Applications share a pull request. A
// webhook about the image of one keeps the change for the other, without a request
// for its image.
func TestAnEventKeepsWhatOthersPropose(t *testing.T) {
	w := harness.NewWorld(t)
	const other = "asia-northeast2-docker.pkg.dev/liverty-music-dev/backend/worker"
	worker := func(tag string) {
		w.Registry.Push("liverty-music-dev/backend/worker",
			registry.Build{Created: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}, tag)
	}

	worker("v1.0.0")
	worker("v1.1.0")
	if err := w.Git.Commit(world.Repository, "main", "Add the worker",
		map[string]string{"worker/prod/kustomization.yaml": "images:\n- name: " + other +
			"\n  newTag: v1.0.0\n"}); err != nil {
		t.Fatal(err)
	}

	harness.Write(t, w.Applications, harness.ReadFile(t, w.Applications)+"---\n"+harness.Manifest("worker-prod",
		w.Git.URLOf(world.Repository), "worker/prod", "image-list: worker="+other+
			":^1\nwrite-back-delivery: pull-request"))
	config := strings.Replace(harness.ReadFile(t, w.Config), "pullRequest: {labels: [deploy]}",
		`pullRequest: {branch: "image-writeback/prod"}`, 1)
	s := listen(t, w, config)
	body := func() string {
		t.Helper()
		pulls := w.GitHub.Pulls(world.Repository)
		if len(pulls) != 1 {
			t.Fatalf("%d pull requests", len(pulls))
		}
		diff, err := w.Git.Run(world.Repository, "diff", "main", pulls[0].Head)
		if err != nil {
			t.Fatal(err)
		}
		return diff
	}

	if diff := body(); !strings.Contains(diff, "+  newTag: v1.1.0") || !strings.Contains(diff, "+  newTag: v1.3.0") {
		t.Fatalf("the pull request has not both:\n%s", diff)
	}

	before := s.requests()
	worker("v1.2.0")
	s.image(other, "v1.2.0", webhookSecret)
	harness.Await(t, "the newer worker in the pull request",
		func() bool { return strings.Contains(body(), "+  newTag: v1.2.0") })
	s.Says("cycle done", 2)
	if diff := body(); !strings.Contains(diff, "+  newTag: v1.3.0") {
		t.Errorf("the change for the other Application is gone:\n%s", diff)
	}

	if got := s.requests().since(before); got.list != 1 {
		t.Errorf("%d lists, for one image", got.list)
	}
}

// TestPubSub publishes messages to Artifact Registry's topic and checks their cost: one
// list and one push each, also for two messages at once.
func TestPubSub(t *testing.T) {
	w := harness.NewWorld(t)
	pubsub, err := sandboxpubsub.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pubsub.Close)
	t.Setenv(pubsub.Environment())
	s := listen(t, w, harness.ReadFile(t, w.Config), "  pubsub: {subscription: "+sandboxpubsub.Subscription+"}\n")
	for i := range 3 {
		before := s.requests()
		build := w.Build()
		pubsub.Pushed(world.Image, build)
		pubsub.Pushed(world.Image, "latest")
		s.landed(build)
		s.Says("cycle done", i+2)
		if got, want := s.requests().since(before), (requests{list: 1, advertise: 1, push: 1}); got != want {
			t.Errorf("a build: %+v, want %+v", got, want)
		}
	}
}

// TestFlood sends the program 10,000 webhooks a second for 10 seconds, most of them
// for images that no Application uses: its memory does not grow, and it runs at most
// one cycle every two seconds.
func TestFlood(t *testing.T) {
	w := harness.NewWorld(t)
	address := harness.FreeAddress(t)
	secret := harness.Write(t, filepath.Join(t.TempDir(), "secret"), webhookSecret)
	config := strings.Replace(harness.ReadFile(t, w.Config), "interval: 1s", "interval: 1h", 1) +
		fmt.Sprintf("events:\n  listen: %q\n  secretFiles: {harbor: %s}\n", address, secret)
	var log sandbox.Log
	command := exec.Command(harness.Program(t), "run", "--config",
		harness.Write(t, filepath.Join(t.TempDir(), "config.yaml"), config), "--applications", w.Applications)
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	harness.Await(t, "the first cycle", func() bool { return strings.Contains(log.String(), "cycle done") })
	send := func(perSecond, seconds int) time.Duration {
		t.Helper()
		begin := time.Now()
		limiter := rate.NewLimiter(rate.Limit(perSecond), perSecond/10)
		var group sync.WaitGroup
		const connections = 8
		for c := range connections {
			group.Go(func() {
				if err := flood(t.Context(), address, limiter, c, perSecond*seconds/connections); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		return time.Since(begin)
	}

	send(10_000, 1) // by then it has the memory that it needs at this rate
	before, lists := harness.Resident(t, command.Process.Pid, "VmRSS"), w.Registry.Count("list")
	took := send(10_000, 10)
	build := w.Build()
	if err := flood(t.Context(), address, rate.NewLimiter(rate.Inf, 1000), 0, 50); err != nil {
		t.Fatal(err)
	}

	harness.Await(t, "the commit", func() bool {
		return strings.Contains(harness.Show(t, w.Git, world.Repository, world.DevFile), build)
	})

	cycles, most := w.Registry.Count("list")-lists, int(took/(2*time.Second))+3
	t.Logf("100,000 events in %.1f s: %d cycles, %.0f MB before, %.0f MB at most", took.Seconds(), cycles, before,
		harness.Resident(t, command.Process.Pid, "VmHWM"))
	if cycles > most {
		t.Errorf("%d cycles, at most %d are due", cycles, most)
	}

	if after := harness.Resident(t, command.Process.Pid, "VmHWM"); after > before+50 {
		t.Errorf("memory grew from %.0f to %.0f MB", before, after)
	}
}

// flood sends n webhooks on one connection, as fast as the limiter allows, and reads
// the responses.
func flood(ctx context.Context, address string, limiter *rate.Limiter, connection, n int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	const together = 50
	for sent := 0; sent < n; sent += together {
		if err := limiter.WaitN(ctx, together); err != nil {
			return err
		}
		var batch bytes.Buffer
		for i := range together {
			image, tag := world.Image, "v"+strconv.Itoa(sent+i)
			if i%10 != 0 {
				image = fmt.Sprintf("asia-northeast2-docker.pkg.dev/p/c%d/i%d", connection, sent+i)
			}
			body := harborEvent(image, tag)
			fmt.Fprintf(&batch, "POST /webhook?type=harbor HTTP/1.1\r\nHost: x\r\nAuthorization: "+
				"%s\r\nContent-Length: %d\r\n\r\n%s", webhookSecret, len(body), body)
		}
		if _, err := conn.Write(batch.Bytes()); err != nil {
			return err
		}
		for range together {
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("status %d", response.StatusCode)
			}
		}
	}

	return nil
}
