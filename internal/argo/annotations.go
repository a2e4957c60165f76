package argo

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
	"github.com/liverty-music/image-writeback/internal/policy"
	"github.com/liverty-music/image-writeback/internal/spec"
	"github.com/liverty-music/image-writeback/internal/suggest"
)

// The annotations' names without prefix and, where they belong to one image,
// without its alias.
const (
	imageList      = "image-list"
	updateStrategy = "update-strategy"
	allowTags      = "allow-tags"
	tagMatch       = "tag-match" // old name of allow-tags
	ignoreTags     = "ignore-tags"
	pullSecret     = "pull-secret"
	forceUpdate    = "force-update"
	platforms      = "platforms"
	kustomizeName  = "kustomize.image-name"
	helmName       = "helm.image-name"
	helmTag        = "helm.image-tag"
	helmSpec       = "helm.image-spec"

	writeBackMethod   = "write-back-method"
	writeBackTarget   = "write-back-target"
	writeBackDelivery = "write-back-delivery"
	gitBranch         = "git-branch"
	gitRepository     = "git-repository"
)

var (
	forApplication = []string{imageList, updateStrategy, allowTags, ignoreTags, pullSecret, forceUpdate,
		writeBackMethod, writeBackTarget, writeBackDelivery, gitBranch, gitRepository}
	forImage = []string{updateStrategy, allowTags, tagMatch, ignoreTags, pullSecret, forceUpdate, platforms,
		kustomizeName, helmName, helmTag, helmSpec}
)

// reader collects what one Application asks for.
type reader struct {
	app      *Stored
	out      *spec.Application
	defaults Defaults
	lines    map[string]int // annotation → line of its file
	file     string
	resource string // the ImageUpdater that says it all; empty: annotations do
}

// Annotated reports whether an Application asks for anything at all.
func Annotated(app *Stored) bool {
	return strings.TrimSpace(app.Annotations[spec.Prefix+imageList]) != ""
}

// origin is where an Application was read from; the zero value is a cluster.
type origin struct {
	file  string
	lines map[string]int // of annotations; that of the Application itself is under ""
}

// Read turns an annotated Application into what it asks for.
func Read(app *Stored, defaults Defaults) spec.Application {
	return read(resourced{app: app}, defaults, origin{})
}

func read(under resourced, defaults Defaults, from origin) spec.Application {
	app := under.app
	out := spec.Application{Namespace: app.Namespace, Name: app.Name, Project: app.Spec.Project, UID: string(app.UID), Labels: app.Labels, Problems: under.problems,
		Running: app.Status.Summary.Images, Health: spec.Health{Status: app.Status.Health.Status}}
	if at := app.Status.Health.LastTransitionTime; at != nil {
		out.Health.Since = at.Time
	}
	if out.Project == "" {
		out.Project = "default"
	}
	out.Target.Labels = under.labels
	r := &reader{app: app, out: &out, defaults: defaults, file: from.file, lines: from.lines, resource: under.resource}
	if len(under.problems) > 0 {
		return out
	}
	r.unknownNames()
	r.readTarget()
	r.readImages()
	if out.Target.Method == spec.MethodArgoCD && len(out.Broken()) == 0 {
		r.readOverrides()
	}
	return out
}

// readOverrides reads the lists that the method argocd writes to.
func (r *reader) readOverrides() {
	source := r.app.Spec.Source
	if i := r.out.Target.Source; i >= 0 {
		source = &r.app.Spec.Sources[i]
	}

	var err error
	if r.out.Overrides, err = source.overrides(); err != nil {
		r.problem("", "", "its source cannot be read: "+err.Error(), "correct the Application")
	}
}

// problem records what is wrong with an annotation; key is its name without prefix.
func (r *reader) problem(key, image, expected, remedy string) {
	p := spec.Problem{Application: r.out.String(), Resource: r.resource, Image: image, Expected: expected, Remedy: remedy}
	if key != "" {
		p.Annotation = spec.Prefix + key
		if !strings.HasSuffix(key, pullSecret) { // somebody may have put the secret itself there
			p.Value = r.app.Annotations[p.Annotation]
		}
	}
	if r.file != "" {
		p.Where = r.file
		if line := r.lines[p.Annotation]; line > 0 {
			p.Where = fmt.Sprintf("%s:%d", r.file, line)
		} else if line := r.lines[""]; line > 0 {
			p.Where = fmt.Sprintf("%s:%d", r.file, line)
		}
	}
	r.out.Problems = append(r.out.Problems, p)
}

func (r *reader) value(key string) string {
	return strings.TrimSpace(r.app.Annotations[spec.Prefix+key])
}

// imageValue finds an image's setting: its own annotation, else the one for
// the whole Application. It returns the annotation's name as well.
func (r *reader) imageValue(alias string, keys ...string) (value, key string) {
	for _, key := range keys {
		if alias == "" {
			break
		}
		if v := r.value(alias + "." + key); v != "" {
			return v, alias + "." + key
		}
	}
	if key := keys[0]; slices.Contains(forApplication, key) {
		return r.value(key), key
	}
	return "", keys[0]
}

// readImages reads image-list, and what is asked for each of its images.
func (r *reader) readImages() {
	var live []image.Ref
	for _, s := range r.app.Status.Summary.Images {
		if ref, err := image.ParseRunning(s); err == nil {
			live = append(live, ref)
		}
	}
	liveKnown := len(r.app.Status.Summary.Images) > 0 || r.file == ""
	for item := range strings.SplitSeq(r.value(imageList), ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		alias, name, constraint := splitListItem(item)
		ref, err := image.ParseName(name)
		if err != nil {
			r.problem(imageList, "", err.Error(), "write [alias=]registry/repository[:constraint], separated by commas")
			continue
		}
		u := spec.Image{Alias: alias, Ref: ref}
		r.readUpdate(&u, constraint)
		r.matchLive(&u, live, liveKnown)
		r.out.Images = append(r.out.Images, u)
	}
	if len(r.out.Images) == 0 && len(r.out.Problems) == 0 {
		r.problem(imageList, "", "it names no image", "write [alias=]registry/repository[:constraint], separated by commas")
	}
}

// splitListItem splits [alias=]image[:constraint]. A constraint may hold "=",
// so that what stands before it is an alias only without a colon.
func splitListItem(item string) (alias, name, constraint string) {
	if left, right, ok := strings.Cut(item, "="); ok && !strings.Contains(left, ":") {
		alias, item = strings.ReplaceAll(strings.TrimSpace(left), "/", "_"), strings.TrimSpace(right)
	}
	name, constraint, _ = image.CutTag(item)
	return alias, strings.TrimSpace(name), strings.TrimSpace(constraint)
}

func (r *reader) readUpdate(u *spec.Image, constraint string) {
	add := func(key, expected, remedy string) {
		r.problem(key, u.Key(), expected, remedy)
		u.Problems = append(u.Problems, r.out.Problems[len(r.out.Problems)-1])
	}
	u.Policy = policy.Policy{Strategy: policy.SemVer, Constraint: constraint}
	readable := true
	if v, key := r.imageValue(u.Alias, updateStrategy); v != "" {
		strategy, err := policy.ParseStrategy(v)
		if err != nil {
			add(key, err.Error(), "use one of "+strings.Join(policy.StrategyNames(), ", ")+nearest(v, policy.StrategyNames()))
			readable = false
		}
		u.Policy.Strategy = strategy
	}
	v, key := r.imageValue(u.Alias, allowTags, tagMatch)
	allow, err := policy.ParseAllow(v)
	if err != nil {
		add(key, err.Error(), "no tag is allowed until this is corrected")
	}
	v, key = r.imageValue(u.Alias, ignoreTags)
	ignore, err := policy.ParseIgnore(v)
	if err != nil {
		add(key, err.Error(), `write globs separated by commas, such as "latest, *-rc*"`)
	}
	u.Policy.Allow, u.Policy.Ignore = allow, ignore
	if readable {
		if err := u.Policy.Validate(); err != nil {
			add(imageList, err.Error(), "correct what follows ':' behind the image")
		}
	}
	u.Credentials, key = r.imageValue(u.Alias, pullSecret)
	if err := validCredentials(u.Credentials); err != nil {
		add(key, err.Error(), "use secret:NAMESPACE/NAME#FIELD, pullsecret:NAMESPACE/NAME, env:VARIABLE or ext:/ABSOLUTE/PATH")
	}
	u.KustomizeName, key = r.imageValue(u.Alias, kustomizeName)
	if u.KustomizeName != "" {
		if _, err := image.ParseName(u.KustomizeName); err != nil {
			add(key, err.Error(), "write the name: of the image in the kustomization, without a tag")
		}
	}
	u.HelmSpec, _ = r.imageValue(u.Alias, helmSpec)
	if u.HelmName, _ = r.imageValue(u.Alias, helmName); u.HelmName == "" {
		u.HelmName = "image.name"
	}
	if u.HelmTag, _ = r.imageValue(u.Alias, helmTag); u.HelmTag == "" {
		u.HelmTag = "image.tag"
	}
	list, key := r.imageValue(u.Alias, platforms)
	for p := range strings.SplitSeq(list, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if n := strings.Count(p, "/"); n < 1 || n > 2 {
			add(key, fmt.Sprintf("%q is no platform", p), "write os/arch[/variant], such as linux/amd64, separated by commas")
		}
		u.Platforms = append(u.Platforms, p)
	}
}

func validCredentials(s string) error {
	kind, rest, _ := strings.Cut(s, ":")
	reference, field, hasField := strings.Cut(rest, "#")
	namespace, name, named := strings.Cut(reference, "/")
	complete := named && namespace != "" && name != ""
	switch {
	case s == "", s == "google",
		kind == "secret" && complete && hasField && field != "",
		kind == "pullsecret" && complete && !hasField,
		kind == "env" && rest != "",
		kind == "ext" && strings.HasPrefix(rest, "/"):
		return nil
	}
	return errors.New("its value names no credentials")
}

// matchLive finds the running image of an update. kustomize.image-name is
// tried first. Without the cluster's word, every image counts as live.
func (r *reader) matchLive(u *spec.Image, live []image.Ref, known bool) {
	names := []image.Ref{u.Ref}
	if ref, err := image.ParseName(u.KustomizeName); u.KustomizeName != "" && err == nil {
		names = []image.Ref{ref, u.Ref}
	}
	for _, name := range names {
		for _, l := range live {
			if l.SameImage(name) {
				u.Live = l
				return
			}
		}
	}
	forced, _ := r.imageValue(u.Alias, forceUpdate)
	if known && !strings.EqualFold(forced, "true") {
		key := forceUpdate
		if u.Alias != "" {
			key = u.Alias + "." + forceUpdate
		}
		u.NotLive = fmt.Sprintf("%s is not among the running images of the Application; deploy it first, or set %s%s to \"true\"", u.Ref.Name, spec.Prefix, key)
	}
}

// unknownNames advises on annotations with our prefix that nobody reads.
func (r *reader) unknownNames() {
	aliases := map[string]bool{}
	for item := range strings.SplitSeq(r.value(imageList), ",") {
		if alias, _, _ := splitListItem(strings.TrimSpace(item)); alias != "" {
			aliases[alias] = true
		}
	}
	var names []string
	for name := range r.app.Annotations {
		if key, ok := strings.CutPrefix(name, spec.Prefix); ok && !slices.Contains(forApplication, key) {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	for _, key := range names {
		alias, setting, dotted := strings.Cut(key, ".")
		switch {
		case dotted && aliases[alias] && slices.Contains(forImage, setting):
			continue
		case dotted && aliases[alias]:
			r.problem(key, "", "no such annotation", "remove it"+nearest(setting, forImage))
		case dotted && slices.Contains(forImage, setting):
			r.problem(key, "", fmt.Sprintf("image-list has no alias %q", alias), "add it as "+alias+"=… to image-list, or remove the annotation")
		default:
			r.problem(key, "", "no such annotation", "remove it"+nearest(key, forApplication))
		}
		r.out.Problems[len(r.out.Problems)-1].Advice = true
	}
}

// nearest is a hint at the name that was probably meant.
func nearest(name string, known []string) string {
	best := suggest.Nearest(name, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// within resolves a path against a folder of the repository and refuses what
// leads out of it. One that begins with a slash starts at the root.
func within(folder, p string) (string, error) {
	joined := path.Join(folder, p)
	if strings.HasPrefix(p, "/") {
		joined = path.Clean(strings.TrimLeft(p, "/"))
	}
	if joined == ".." || strings.HasPrefix(joined, "../") || strings.HasPrefix(joined, "/") {
		return "", fmt.Errorf("the path %q leads out of the repository", p)
	}
	if joined == "" {
		return ".", nil
	}
	return joined, nil
}
