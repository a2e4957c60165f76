package gitwrite

import (
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Hash names a commit or a tree. The zero value names neither.
type Hash = plumbing.Hash

// Stage holds new files, trees and commits that are not pushed yet, in addition to the
// objects of the repository. A failed [Repository.Push] does not change it. If a branch
// has moved, use a new stage.
type Stage struct {
	repository *Repository
	objects    *objects
}

// NewStage returns an empty stage.
func (r *Repository) NewStage() *Stage {
	return &Stage{repository: r, objects: newObjects(r.mirror)}
}

// Commit is a commit without its content.
type Commit struct {
	Tree              Hash
	Parents           []Hash
	Author, Committer Signature
	Message           string
}

// Commit returns a commit of the stage, or one that [Repository.Read] has fetched: the
// newest of a branch.
func (s *Stage) Commit(hash Hash) (Commit, error) {
	s.repository.mu.Lock()
	defer s.repository.mu.Unlock()

	commit, err := s.objects.commit(hash)
	if err != nil {
		return Commit{}, err
	}

	return Commit{
		Tree:      commit.TreeHash,
		Parents:   commit.ParentHashes,
		Author:    signatureOf(commit.Author),
		Committer: signatureOf(commit.Committer),
		Message:   commit.Message,
	}, nil
}

func signatureOf(s object.Signature) Signature { return Signature{Name: s.Name, Email: s.Email} }

// StagedFile is a file of a tree.
type StagedFile struct {
	Data []byte
	// Regular is set if the file has the mode 100644.
	Regular bool
}

// ReadFile returns a file of a tree by its path from the root. The error wraps
// [ErrNoFile] or [ErrSymlink], or is a [limit.Error].
func (s *Stage) ReadFile(tree Hash, path string) (StagedFile, error) {
	s.repository.mu.Lock()
	defer s.repository.mu.Unlock()

	entry, err := s.objects.find(tree, path)
	if err != nil {
		return StagedFile{}, err
	}
	data, err := s.objects.blob(entry.Hash, path)
	return StagedFile{Data: data, Regular: entry.Mode == filemode.Regular}, err
}

// WriteFile sets the content of a file in a tree and returns the new tree. It keeps the
// mode of the file, and creates a missing file with its folders.
func (s *Stage) WriteFile(tree Hash, path string, data []byte) (Hash, error) {
	s.repository.mu.Lock()
	defer s.repository.mu.Unlock()

	return s.objects.file(tree, path, data)
}

// NewCommit describes a commit to create.
type NewCommit struct {
	Parent, Tree Hash
	Message      string
	Author       Signature // the committer as well
	Signer       *Signer   // nil: the commit is not signed
	Time         time.Time
}

// AddCommit creates a commit and returns its hash. It returns an error if the commit
// cannot be signed.
func (s *Stage) AddCommit(c NewCommit) (Hash, error) {
	s.repository.mu.Lock()
	defer s.repository.mu.Unlock()

	return s.objects.addCommit(c)
}

// ParseHash parses a hexadecimal hash. Any other text results in the zero value.
func ParseHash(text string) Hash { return plumbing.NewHash(text) }
