package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTheSampleIsTheDefault holds the promise of the sample's first line.
func TestTheSampleIsTheDefault(t *testing.T) {
	data, err := os.ReadFile("../../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, problems := Read("config.yaml", data)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	empty := func(s []string) []string { return append([]string{}, s...) }
	want.Applications.Namespaces, want.Applications.Names = empty(nil), empty(nil)
	pr := &want.GitHub.PullRequest
	pr.Labels, pr.Reviewers, pr.Assignees = empty(nil), empty(nil), empty(nil)
	want.Registries, want.Git.Delivery.Rules = []Registry{}, []DeliveryRule{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-default +sample):\n%s", diff)
	}
	// The examples in comments are true as well.
	example := string(data)
	for _, key := range []string{"registries", "rules"} {
		example = strings.Replace(example, key+": []", key+":   ", 1)
	}
	example = strings.NewReplacer("# - ", "- ", "#   ", "  ").Replace(example)
	if got, problems := Read("config.yaml", []byte(example)); len(problems) > 0 || len(got.Registries) != 1 || len(got.Git.Delivery.Rules) != 1 {
		t.Errorf("the examples: %v, %+v", problems, got.Registries)
	}
}

// TestTheWholeContractIsRead reads every key of the contract at a value that
// stands in this version.
func TestTheWholeContractIsRead(t *testing.T) {
	const all = `interval: 2m
applications: {namespaces: [], selector: "", names: []}
defaults: {writeBackMethod: git, writeBackTarget: kustomization}
registries:
- {name: GAR Osaka, prefix: asia-northeast2-docker.pkg.dev, api_url: https://asia-northeast2-docker.pkg.dev, credentials: google, limit: 20, caFile: "",
   ping: true, insecure: false, credsexpire: "", tagsortmode: "", defaultns: "", default: false}
argocd: {namespace: ""}
git:
  author: {name: "", email: ""}
  message: ""
  signOff: false
  commits: per-application
  signing: {method: "", keyFile: ""}
  commitVia: push
  cacheDir: ""
  delivery:
    default: commit
    rules:
    - when: {path: "**/overlays/prod*/**", application: "*", namespace: a, project: b, repository: "**", labels: {a: "b*"}}
      use: pull-request
github:
  apiURL: https://api.github.com/
  app: {id: 0, installationID: 0, privateKeyFile: ""}
  tokenFile: ""
  pullRequest: {title: "", body: "", branch: "", labels: [], reviewers: [], assignees: [], draft: false, autoMerge: false}
gitlab: {url: https://gitlab.com, tokenFile: ""}
web: {listen: "", metricsListen: ""}
events:
  listen: ""
  secretFiles: {}
  pubsub: {subscription: ""}
  pubsubPush: {audience: "", serviceAccount: ""}
leaderElection: {enabled: false, namespace: "", name: image-writeback, leaseDuration: 15s}
`
	if _, problems := Read("config.yaml", []byte(all)); len(problems) > 0 {
		t.Error(problems)
	}
	if _, problems := Read("config.yaml", []byte(strings.Replace(all, `web: {listen: ""`, `web: {listen: ":8080"`, 1))); len(problems) > 0 {
		t.Error(problems)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		if got, problems := Read("config.yaml", []byte(empty)); len(problems) > 0 || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%q: %+v, %v", empty, got, problems)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"intervall: 2m\n", "c.yaml:1: unknown key intervall; did you mean interval?"},
		{"git:\n  cachedir: x\n", "c.yaml:2: unknown key git.cachedir; did you mean cacheDir?"},
		{"registries:\n- prefix: a\n  credential: google\n", "c.yaml:3: unknown key registries[0].credential; did you mean credentials?"},
		{"git:\n  delivery:\n    rules:\n    - when: {pth: x}\n      use: commit\n", "c.yaml:4: unknown key git.delivery.rules[0].when.pth; did you mean path?"},
		{"interval: soon\n", `c.yaml:1: "soon" is not a duration; write it like 30s or 2m`},
		{"interval: 0s\n", "c.yaml:1: interval: must be greater than zero, for example 2m"},
		{"interval: 1m\ninterval: 2m\n", "c.yaml:2: interval is set twice"},
		{"git:\n  signOff: please\n", `c.yaml:2: expected true or false, not "please"`},
		{"applications: {names: a}\n", `c.yaml:1: expected a list of strings, not "a"`},
		{"git: [\n", "c.yaml:"},
		{"registries: {prefix: x}\n", "c.yaml:1: expected a list, not a map"},
		{"git: 5\n", `c.yaml:1: expected a map, not "5"`},
		{"priorityClassName: x\n", "c.yaml:1: unknown key priorityClassName"},
		{"a: 1\n---\nb: 2\n", "more than one YAML document"},
		{"registries:\n- name: x\n", "c.yaml:2: registries[0]: prefix is missing"},
		{"registries:\n- {prefix: x, credentials: ext:bin/x}\n", "c.yaml:2: registries[0].credentials: the path of the program must be absolute"},
		{"registries:\n- {prefix: x, tagsortmode: newest}\n", `registries[0].tagsortmode: invalid value "newest"; use latest-first, latest-last or none`},
		{"registries:\n- {prefix: x, default: true}\n- {prefix: y, default: true}\n", "c.yaml:3: registries[1].default: only one registry can be the default"},
		{"git:\n  delivery:\n    default: mail\n", `c.yaml:3: git.delivery.default: invalid value "mail"; use commit or pull-request`},
		{"git:\n  delivery:\n    rules:\n    - when: {path: \"[\"}\n      use: commit\n", `c.yaml:4: git.delivery.rules[0].when.path: "[" is not a valid glob`},
		{"github:\n  app: {id: 5}\n", "c.yaml:2: github.app: privateKeyFile is missing"},
		{"github:\n  app: {privateKeyFile: x}\n", "c.yaml:2: github.app: id is missing"},
		{"github:\n  app: {id: 5, privateKeyFile: x}\n  tokenFile: y\n", "c.yaml:2: github: set app or tokenFile, not both"},
		{"leaderElection: {name: Bad_Name}\n", `c.yaml:1: leaderElection.name: "Bad_Name" is not a valid name of a Lease`},
		{"leaderElection: {leaseDuration: 1500ms}\n", "c.yaml:1: leaderElection.leaseDuration: must be a whole number of seconds"},
		{"events: {-: {github: x}}\n", "c.yaml:1: unknown key events.-"},
		{"events: {listen: \":8082\"}\n", "events.listen: no webhook is enabled"},
		{"events: {secretFiles: {github: /x}}\n", "events: listen is missing"},
		{"events:\n  listen: \":8082\"\n  secretFiles: {gitea: /x}\n", `c.yaml:3: events.secretFiles: unknown webhook type "gitea"; use acr, aliyun-acr, cloudevents, docker.io, ghcr.io, github, harbor or quay.io`},
		{"events: {listen: \":8082\", pubsubPush: {audience: a}}\n", "events.pubsubPush: set both audience and serviceAccount"},
		{"events: {pubsub: {subscription: mine}}\n", `events.pubsub.subscription: "mine" is not a subscription; write projects/PROJECT/subscriptions/NAME`},
		{"git: {commits: all}\n", `git.commits: invalid value "all"; use per-application or combined`},
		{"git: {commitVia: graphql}\n", `git.commitVia: invalid value "graphql"; use push or github-api`},
		{"git: {commitVia: github-api}\n", "git.commitVia: github-api requires github.app or github.tokenFile"},
		{"git: {commitVia: github-api, author: {name: x}}\n", "git.author: cannot be set with commitVia: github-api"},
		{"git: {commitVia: github-api, signing: {method: ssh, keyFile: x}}\n", "git.signing: cannot be set with commitVia: github-api"},
		{"git: {commitVia: github-api, signOff: true}\ngithub: {tokenFile: x}\n", "git.signOff: requires github.app"},
		{"git: {signing: {method: ssh}}\n", "git.signing: keyFile is missing"},
		{"git: {signing: {keyFile: x}}\n", "git.signing: method is missing"},
		{"git: {signing: {method: x509, keyFile: x}}\n", `git.signing.method: invalid value "x509"; use openpgp or ssh`},
		{"defaults: {writeBackMethod: restart}\n", "defaults.writeBackMethod: restart is not supported by this version; use git"},
		{"defaults: {writeBackMethod: gti}\n", `defaults.writeBackMethod: invalid value "gti"; use git or argocd`},
		{"defaults: {writeBackTarget: helmvalues}\n", `defaults.writeBackTarget: invalid value "helmvalues"; use kustomization or argocd-source`},
	} {
		_, problems := Read("c.yaml", []byte(c.src))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Error(), c.want)
		}
		if !found {
			t.Errorf("%q:\n%v\nwant %s", c.src, problems, c.want)
		}
	}
}

func TestReadRegistries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registries.conf")
	read := func(content string) ([]Registry, []Problem) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		registries, problems, err := ReadRegistries(file)
		if err != nil {
			t.Fatal(err)
		}
		return registries, problems
	}
	got, problems := read(`registries:
- name: Docker Hub
  api_url: https://registry-1.docker.io
  ping: yes
  credentials: secret:foo/bar#creds
  defaultns: library
- name: Amazon
  api_url: https://123456789.dkr.ecr.eu-west-1.amazonaws.com
  prefix: 123456789.dkr.ecr.eu-west-1.amazonaws.com
  ping: yes
  insecure: no
  credentials: ext:/scripts/auth1.sh
  credsexpire: 10h
  tagsortmode: latest-first
  limit: 10
`)
	if len(problems) > 0 || len(got) != 2 || got[0].Prefix != "docker.io" || got[0].DefaultNS != "library" || time.Duration(got[1].CredsExpire) != 10*time.Hour || got[1].TagSortMode != "latest-first" {
		t.Errorf("%+v, %v", got, problems)
	}
	if _, problems = read("registries: []\ninterval: 1m\n"); len(problems) != 1 || !strings.Contains(problems[0].Message, "unknown key interval") {
		t.Errorf("another key: %v", problems)
	}
	if _, problems = read("registries:\n- {name: x, prefix: x, credsexpire: soon}\n"); len(problems) != 1 || problems[0].Line != 2 {
		t.Errorf("a duration that is none: %v", problems)
	}
}
