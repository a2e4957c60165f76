package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/config"
)

// legacyFlag is a flag of Argo CD Image Updater 0.18 that we spell otherwise
// or do not need. It is accepted, so that a Deployment's arguments can stay.
type legacyFlag struct {
	name, env string
	truth     bool   // it needs no value
	standard  string // the file that is taken where it exists and none is given
	// apply does what the flag means; nil: it means nothing here.
	apply func(l *legacy, value string) error
	// note is said once where the flag is given.
	note string
}

// legacy collects what the flags of Argo CD Image Updater ask for.
type legacy struct {
	flags   []legacyFlag
	config  *config.Config
	options *options
	notes   []string
}

const notNeeded = "it has no effect here"

var runFlags = []legacyFlag{
	{name: "loglevel", env: "IMAGE_UPDATER_LOGLEVEL", apply: (*legacy).logLevel},
	{name: "logformat", env: "IMAGE_UPDATER_LOGFORMAT", apply: func(l *legacy, v string) error { l.options.logFormat = v; return nil }},
	{name: "registries-conf-path", standard: "/app/config/registries.conf", apply: (*legacy).registries},
	{name: "application-namespace", apply: func(l *legacy, v string) error {
		if v != "" {
			l.config.Applications.Namespaces = []string{v}
		}
		return nil
	}},
	{name: "match-application-name", apply: func(l *legacy, v string) error {
		if v != "" {
			l.config.Applications.Names = strings.Split(v, ",")
		}
		return nil
	}, note: "use applications.names in config.yaml"},
	{name: "match-application-label", apply: func(l *legacy, v string) error { l.config.Applications.Selector = v; return nil }, note: "use applications.selector in config.yaml"},
	{name: "git-commit-user", env: "GIT_COMMIT_USER", apply: func(l *legacy, v string) error { l.config.Git.Author.Name = v; return nil }},
	{name: "git-commit-email", env: "GIT_COMMIT_EMAIL", apply: func(l *legacy, v string) error { l.config.Git.Author.Email = v; return nil }},
	{name: "git-commit-signing-key", env: "GIT_COMMIT_SIGNING_KEY", apply: func(l *legacy, v string) error {
		l.config.Git.Signing.KeyFile = v
		if v != "" && l.config.Git.Signing.Method == "" {
			l.config.Git.Signing.Method = "openpgp"
		}
		return nil
	}},
	{name: "git-commit-signing-method", env: "GIT_COMMIT_SIGNING_METHOD", apply: func(l *legacy, v string) error {
		if l.config.Git.Signing.KeyFile != "" {
			l.config.Git.Signing.Method = v
		}
		return nil
	}},
	{name: "git-commit-sign-off", env: "GIT_COMMIT_SIGN_OFF", truth: true, apply: yes(func(l *legacy, v bool) { l.config.Git.SignOff = v })},
	{name: "git-commit-message-path", standard: "/app/config/commit.template", apply: (*legacy).message},
	{name: "health-port", apply: port(func(l *legacy, listen string) { l.config.Web.Listen = listen })},
	{name: "metrics-port", apply: port(func(l *legacy, listen string) { l.config.Web.MetricsListen = listen })},
	{name: "disable-kube-events", env: "IMAGE_UPDATER_KUBE_EVENTS", truth: true, apply: yes(func(l *legacy, v bool) { l.options.noEvents = v })},
	{name: "max-concurrency", note: notNeeded + ": work is shared by registry and repository; registries have limit: in config.yaml"},
	{name: "warmup-cache", truth: true, note: notNeeded},
	{name: "applications-api", env: "APPLICATIONS_API", note: "Applications are read from Kubernetes alone"},
	{name: "argocd-server-addr", env: "ARGOCD_SERVER", note: notNeeded},
	{name: "argocd-grpc-web", env: "ARGOCD_GRPC_WEB", truth: true, note: notNeeded},
	{name: "argocd-insecure", env: "ARGOCD_INSECURE", truth: true, note: notNeeded},
	{name: "argocd-plaintext", env: "ARGOCD_PLAINTEXT", truth: true, note: notNeeded},
	{name: "argocd-auth-token", note: notNeeded},
	{name: "disable-kubernetes", truth: true, note: "give --applications to read Applications from files"},
	{name: "enable-webhook", env: "ENABLE_WEBHOOK", truth: true, apply: yes((*legacy).webhooks)},
	{name: "webhook-port", env: "WEBHOOK_PORT", apply: port(func(l *legacy, listen string) {
		if l.config.Events.Listen != "" && listen != "" {
			l.config.Events.Listen = listen
		}
	})},
	{name: "webhook-ratelimit-allowed", env: "WEBHOOK_RATELIMIT_ALLOWED", note: notNeeded + ": events that come together lead to one cycle"},
	{name: "docker-webhook-secret", env: "DOCKER_WEBHOOK_SECRET", apply: secret("docker.io")},
	{name: "ghcr-webhook-secret", env: "GHCR_WEBHOOK_SECRET", apply: secret("ghcr.io")},
	{name: "quay-webhook-secret", env: "QUAY_WEBHOOK_SECRET", apply: secret("quay.io")},
	{name: "harbor-webhook-secret", env: "HARBOR_WEBHOOK_SECRET", apply: secret("harbor")},
	{name: "acr-webhook-secret", env: "ACR_WEBHOOK_SECRET", apply: secret("acr")},
	{name: "aliyun-acr-webhook-secret", env: "ALIYUN_ACR_WEBHOOK_SECRET", apply: secret("aliyun-acr")},
	{name: "cloudevents-webhook-secret", env: "CLOUDEVENTS_WEBHOOK_SECRET", apply: secret("cloudevents")},
}

var testFlags = []legacyFlag{
	{name: "loglevel", apply: (*legacy).logLevel},
	{name: "registries-conf-path", apply: (*legacy).registries},
	{name: "rate-limit", apply: func(l *legacy, v string) error {
		limit, err := strconv.Atoi(v)
		if err != nil || limit <= 0 {
			return errors.New("it is a number of requests per second")
		}
		for i := range l.config.Registries {
			l.config.Registries[i].Limit = limit
		}
		return nil
	}},
	{name: "disable-kubernetes", truth: true},
	{name: "disable-kubernetes-events", truth: true},
}

func (l *legacy) logLevel(value string) error {
	l.options.logLevel = strings.Replace(strings.ToLower(value), "trace", "debug", 1)
	return nil
}

func yes(set func(l *legacy, v bool)) func(*legacy, string) error {
	return func(l *legacy, value string) error {
		v, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("it is true or false")
		}
		set(l, v)
		return nil
	}
}

func port(set func(l *legacy, listen string)) func(*legacy, string) error {
	return func(l *legacy, value string) error {
		n, err := strconv.Atoi(value)
		switch {
		case err != nil || n < 0 || n > 65535:
			return errors.New("it is the number of a port")
		case n == 0:
			set(l, "")
		default:
			set(l, ":"+value)
		}
		return nil
	}
}

// webhooks serves them where Argo CD Image Updater does.
func (l *legacy) webhooks(on bool) {
	if on && l.config.Events.Listen == "" {
		l.config.Events.Listen = ":8082"
	}
}

func secret(kind string) func(*legacy, string) error {
	return func(l *legacy, value string) error {
		if value == "" {
			return nil
		}
		if l.config.Events.Secrets == nil {
			l.config.Events.Secrets = map[string]string{}
		}
		l.config.Events.Secrets[kind] = value
		return nil
	}
}

// registries puts a registries.conf behind the registries of config.yaml,
// which count first.
func (l *legacy) registries(file string) error {
	registries, problems, err := config.ReadRegistries(file)
	for _, p := range problems {
		err = errors.Join(err, p)
	}
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, r := range l.config.Registries {
		known[r.Prefix] = true
	}
	for _, r := range registries {
		if !known[r.Prefix] {
			l.config.Registries = append(l.config.Registries, r)
		}
	}
	return nil
}

func (l *legacy) message(file string) error {
	data, err := os.ReadFile(file)
	if err == nil && len(data) > 0 {
		l.config.Git.Message = string(data)
	}
	return err
}

// addLegacy defines flags of Argo CD Image Updater, which help does not list.
func addLegacy(cmd *cobra.Command, flags []legacyFlag) *legacy {
	for _, f := range flags {
		cmd.Flags().String(f.name, "", "as in Argo CD Image Updater")
		flag := cmd.Flags().Lookup(f.name)
		flag.Hidden = true
		if f.truth {
			flag.NoOptDefVal = "true"
		}
	}
	return &legacy{flags: flags}
}

// apply takes over what was given, by flag or else by environment, into the
// configuration.
func (l *legacy) apply(cmd *cobra.Command, o *options, c *config.Config) error {
	l.config, l.options = c, o
	for _, f := range l.flags {
		flag := cmd.Flags().Lookup(f.name)
		value, from, given := flag.Value.String(), "--"+f.name, flag.Changed
		if !given && f.env != "" {
			value, given = os.LookupEnv(f.env)
			from = f.env
			given = given && value != ""
		}
		if _, err := os.Stat(f.standard); !given && f.standard != "" && err == nil {
			value, from, given = f.standard, f.standard, true
		}
		if !given {
			continue
		}
		if f.apply != nil {
			if err := f.apply(l, value); err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
		}
		if f.note != "" && value != "false" {
			l.notes = append(l.notes, fmt.Sprintf("%s is accepted for those who come from Argo CD Image Updater: %s", from, f.note))
		}
	}
	if e := &c.Events; e.Listen != "" && len(e.Secrets) == 0 && len(e.SecretFiles) == 0 && e.PubSubPush == (config.PubSubPush{}) {
		e.Listen = ""
		l.notes = append(l.notes, "--enable-webhook: nothing is served, since a webhook without a secret would believe anybody; give --ghcr-webhook-secret or the like, or events.secretFiles in config.yaml")
	}
	return nil
}

// say logs what is to be known of the flags that were given.
func (l *legacy) say(log *slog.Logger) {
	for _, note := range l.notes {
		log.Warn(note)
	}
}

// legacyInterval reads the interval of Argo CD Image Updater's environment.
func legacyInterval() (time.Duration, bool, error) {
	value := os.Getenv("IMAGE_UPDATER_INTERVAL")
	if value == "" {
		return 0, false, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, false, fmt.Errorf("IMAGE_UPDATER_INTERVAL: %q is no duration such as 30s or 2m", value)
	}
	return d, true, nil
}
