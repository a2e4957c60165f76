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
	"github.com/liverty-music/image-writeback/internal/gitwrite"
)

// legacyFlag is a flag of Argo CD Image Updater 0.18 that has another name here or
// is not needed. It is accepted so that the arguments of a Deployment still work.
type legacyFlag struct {
	name, env string
	boolean   bool   // it needs no value
	standard  string // the file that is read, if it exists, when the flag is not set
	// apply does what the flag means; nil: it has no effect.
	apply func(l *legacy, value string) error
	// note is logged if the flag is set.
	note string
}

// legacy applies the flags of Argo CD Image Updater to the configuration.
type legacy struct {
	flags   []legacyFlag
	config  *config.Config
	options *options
	notes   []string
}

const noEffect = "it has no effect here"

var runFlags = []legacyFlag{
	{name: "loglevel", env: "IMAGE_UPDATER_LOGLEVEL", apply: (*legacy).logLevel},
	{name: "logformat", env: "IMAGE_UPDATER_LOGFORMAT",
		apply: text(func(l *legacy, v string) { l.options.logFormat = v })},
	{name: "registries-conf-path", standard: "/app/config/registries.conf", apply: (*legacy).registries},
	{name: "application-namespace", apply: text(func(l *legacy, v string) {
		if v != "" {
			l.config.Applications.Namespaces = []string{v}
		}
	})},
	{name: "match-application-name", apply: text(func(l *legacy, v string) {
		if v != "" {
			l.config.Applications.Names = strings.Split(v, ",")
		}
	}), note: "use applications.names in config.yaml"},
	{name: "match-application-label", apply: text(func(l *legacy, v string) { l.config.Applications.Selector = v }),
		note: "use applications.selector in config.yaml"},
	{name: "git-commit-user", env: "GIT_COMMIT_USER",
		apply: text(func(l *legacy, v string) { l.config.Git.Author.Name = v })},
	{name: "git-commit-email", env: "GIT_COMMIT_EMAIL",
		apply: text(func(l *legacy, v string) { l.config.Git.Author.Email = v })},
	{name: "git-commit-signing-key", env: "GIT_COMMIT_SIGNING_KEY", apply: text(func(l *legacy, v string) {
		l.config.Git.Signing.KeyFile = v
		if v != "" && l.config.Git.Signing.Method == "" {
			l.config.Git.Signing.Method = gitwrite.SignOpenPGP
		}
	})},
	{name: "git-commit-signing-method", env: "GIT_COMMIT_SIGNING_METHOD", apply: text(func(l *legacy, v string) {
		if l.config.Git.Signing.KeyFile != "" {
			l.config.Git.Signing.Method = v
		}
	})},
	{name: "git-commit-sign-off", env: "GIT_COMMIT_SIGN_OFF", boolean: true,
		apply: boolean(func(l *legacy, v bool) { l.config.Git.SignOff = v })},
	{name: "git-commit-message-path", standard: "/app/config/commit.template", apply: (*legacy).message},
	{name: "health-port", apply: port(func(l *legacy, listen string) { l.config.Web.Listen = listen })},
	{name: "metrics-port", apply: port(func(l *legacy, listen string) { l.config.Web.MetricsListen = listen })},
	{name: "disable-kube-events", env: "IMAGE_UPDATER_KUBE_EVENTS", boolean: true,
		apply: boolean(func(l *legacy, v bool) { l.options.noEvents = v })},
	{name: "max-concurrency", note: noEffect + ": each registry and repository is asked once; " +
		"to limit requests to a registry, set limit: in config.yaml"},
	{name: "warmup-cache", boolean: true, note: noEffect},
	{name: "applications-api", env: "APPLICATIONS_API", note: "Applications are read from Kubernetes only"},
	{name: "argocd-server-addr", env: "ARGOCD_SERVER", note: noEffect},
	{name: "argocd-grpc-web", env: "ARGOCD_GRPC_WEB", boolean: true, note: noEffect},
	{name: "argocd-insecure", env: "ARGOCD_INSECURE", boolean: true, note: noEffect},
	{name: "argocd-plaintext", env: "ARGOCD_PLAINTEXT", boolean: true, note: noEffect},
	{name: "argocd-auth-token", note: noEffect},
	{name: "disable-kubernetes", boolean: true, note: "to read Applications from files, use --applications"},
	{name: "enable-webhook", env: "ENABLE_WEBHOOK", boolean: true, apply: boolean((*legacy).webhooks)},
	{name: "webhook-port", env: "WEBHOOK_PORT", apply: port(func(l *legacy, listen string) {
		if l.config.Events.Listen != "" && listen != "" {
			l.config.Events.Listen = listen
		}
	})},
	{name: "webhook-ratelimit-allowed", env: "WEBHOOK_RATELIMIT_ALLOWED",
		note: noEffect + ": webhooks that arrive together lead to one cycle"},
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
			return errors.New("expected a number of requests per second")
		}
		for i := range l.config.Registries {
			l.config.Registries[i].Limit = limit
		}
		return nil
	}},
	{name: "disable-kubernetes", boolean: true},
	{name: "disable-kubernetes-events", boolean: true},
}

func (l *legacy) logLevel(value string) error {
	l.options.logLevel = strings.Replace(strings.ToLower(value), "trace", "debug", 1)
	return nil
}

// text makes an apply function of one that cannot fail.
func text(set func(l *legacy, v string)) func(*legacy, string) error {
	return func(l *legacy, value string) error {
		set(l, value)
		return nil
	}
}

func boolean(set func(l *legacy, v bool)) func(*legacy, string) error {
	return func(l *legacy, value string) error {
		v, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("expected true or false")
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
			return errors.New("expected a port number")
		case n == 0:
			set(l, "")
		default:
			set(l, ":"+value)
		}
		return nil
	}
}

// webhooks serves webhooks at the port that Argo CD Image Updater uses.
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

// registries adds the registries of a registries.conf that config.yaml does not
// have.
func (l *legacy) registries(file string) error {
	registries, problems, err := config.ReadRegistries(file)
	for _, p := range problems {
		err = errors.Join(err, p)
	}

	if err != nil {
		return err
	}

	configured := map[string]bool{}
	for _, r := range l.config.Registries {
		configured[r.Prefix] = true
	}

	for _, r := range registries {
		if !configured[r.Prefix] {
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

// addLegacy defines flags of Argo CD Image Updater. The help does not list them.
func addLegacy(cmd *cobra.Command, flags []legacyFlag) *legacy {
	for _, f := range flags {
		cmd.Flags().String(f.name, "", "as in Argo CD Image Updater")
		flag := cmd.Flags().Lookup(f.name)
		flag.Hidden = true
		if f.boolean {
			flag.NoOptDefVal = "true"
		}
	}

	return &legacy{flags: flags}
}

// apply applies what is set, by flag, environment or standard file in this order,
// to o and c.
func (l *legacy) apply(cmd *cobra.Command, o *options, c *config.Config) error {
	l.config, l.options = c, o
	for _, f := range l.flags {
		value, from := f.value(cmd)
		if from == "" {
			continue
		}

		if f.apply != nil {
			if err := f.apply(l, value); err != nil {
				return fmt.Errorf("%s: %w", from, err)
			}
		}
		if f.note != "" && value != "false" {
			l.notes = append(l.notes,
				fmt.Sprintf("%s is accepted for compatibility with Argo CD Image Updater: %s", from, f.note))
		}
	}

	e := &c.Events
	secrets := len(e.Secrets) + len(e.SecretFiles)
	if e.Listen != "" && secrets == 0 && e.PubSubPush == (config.PubSubPush{}) {
		e.Listen = ""
		l.notes = append(l.notes, "--enable-webhook has no effect without a secret, because anybody could "+
			"then trigger cycles; set --ghcr-webhook-secret or another --…-webhook-secret, or "+
			"events.secretFiles in config.yaml")
	}

	return nil
}

// value returns the value of a flag, and the name of what sets it; empty: nothing
// does.
func (f legacyFlag) value(cmd *cobra.Command) (value, from string) {
	if flag := cmd.Flags().Lookup(f.name); flag.Changed {
		return flag.Value.String(), "--" + f.name
	}

	if f.env != "" {
		if value = os.Getenv(f.env); value != "" {
			return value, f.env
		}
	}

	if f.standard != "" {
		if _, err := os.Stat(f.standard); err == nil {
			return f.standard, f.standard
		}
	}

	return "", ""
}

// logNotes logs the notes of the flags that are set.
func (l *legacy) logNotes(log *slog.Logger) {
	for _, note := range l.notes {
		log.Warn(note)
	}
}

// legacyInterval returns the interval that IMAGE_UPDATER_INTERVAL sets, if it does.
func legacyInterval() (time.Duration, bool, error) {
	value := os.Getenv("IMAGE_UPDATER_INTERVAL")
	if value == "" {
		return 0, false, nil
	}

	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, false, fmt.Errorf("IMAGE_UPDATER_INTERVAL: %q is not a duration; write it like 30s or 2m", value)
	}

	return d, true, nil
}
