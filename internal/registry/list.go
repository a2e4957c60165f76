package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/liverty-music/image-writeback/internal/limit"
)

// pages reads the list of tags of a repository, page by page.
type pages struct {
	repository *Repository
	client     *http.Client
	budget     *limit.Budget
	seen       map[string]bool
	list       tagList
}

// readPages asks for all pages. It fails before the list uses more memory than its
// limits allow.
func (r *Repository) readPages(ctx context.Context, tr http.RoundTripper) (*tagList, error) {
	limits := r.client.limits
	p := &pages{
		repository: r,
		client:     &http.Client{Transport: tr},
		budget:     limit.NewBudget(limits.TagListSize.Max, limits.TagListSize.TooLarge("the list of tags")),
		seen:       map[string]bool{},
		list: tagList{
			limit: limits.Tags,
			room:  func(tags int) error { return r.takeRoom(ctx, tags) },
		},
	}

	first := url.URL{
		Scheme: r.repo.Scheme(), Host: r.repo.RegistryStr(),
		Path: "/v2/" + r.repo.RepositoryStr() + "/tags/list", RawQuery: "n=" + pageSize(r.repo.RegistryStr()),
	}
	for next := &first; next != nil; {
		if p.seen[next.String()] {
			return nil, errors.New("its list of tags has no end: one page is the next page of another one")
		}
		if len(p.seen) == maxPages {
			return nil, limit.Limit{Max: maxPages}.TooMany("the list of tags", "pages")
		}
		p.seen[next.String()] = true

		var err error
		if next, err = p.read(ctx, next); err != nil {
			return nil, err
		}
	}

	return &p.list, nil
}

// pageSize is how many tags to ask for at a time: Google's registries send all, and
// Amazon's refuse to send more than 1000.
func pageSize(host string) string {
	google := host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev") ||
		strings.HasSuffix(host, ".google.com")
	if google {
		return "10000"
	}

	return "1000"
}

// read adds the tags of one page, and returns the address of the next one. If the
// connection breaks in the middle of the page, it is read again.
func (p *pages) read(ctx context.Context, page *url.URL) (next *url.URL, err error) {
	for wait := firstWait; ; wait *= 2 {
		before := p.list
		if next, err = p.readOnce(ctx, page); err == nil {
			return next, nil
		}
		p.list = before
		if err := tryAgain(ctx, err, wait); err != nil {
			return nil, err
		}
	}
}

func (p *pages) readOnce(ctx context.Context, page *url.URL) (next *url.URL, _ error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return nil, err
	}

	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return nil, err
	}

	before := p.list.count()
	body := p.budget.Reader(response.Body)
	if err := p.list.add(body); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, body); err != nil { // so that the connection is used again
		return nil, err
	}

	if p.list.google { // it has one page
		return nil, nil
	}
	next, err = nextPage(response, p.repository)
	if err == nil && next != nil && p.list.count() == before {
		return nil, errors.New("its list of tags has no end: a page without tags has a next page")
	}

	return next, err
}

// nextPage returns where the next page is; nil if there is none. It is at the same
// registry, so that credentials go nowhere else.
func nextPage(response *http.Response, r *Repository) (*url.URL, error) {
	link := response.Header.Get("Link")
	if link == "" {
		return nil, nil //nolint:nilnil // there is none
	}

	target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.HasPrefix(link, "<") {
		return nil, errors.New("the link to the next page of its list of tags cannot be read")
	}
	if target == "" {
		return nil, nil //nolint:nilnil // there is none
	}

	next, err := response.Request.URL.Parse(target)
	if err != nil {
		return nil, errors.New("the link to the next page of its list of tags is not a URL")
	}
	if next.Scheme != r.repo.Scheme() || next.Host != r.repo.RegistryStr() {
		return nil, fmt.Errorf("the next page of its list of tags is not at %s", r.repo.RegistryStr())
	}

	return next, nil
}
