package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/liverty-music/image-writeback/internal/engine"
)

// Service is "updater run" in steps: it runs a cycle when it is asked to, and
// remembers between cycles what the program remembers. Use it to tell a story in
// which people act between cycles; use [Execute] for everything else.
type Service struct {
	program *program
}

// NewService makes the service that "updater run" with these flags runs. It logs
// to stderr. The error is for flags or a configuration that are wrong.
func NewService(build Build, flags []string, stderr io.Writer) (*Service, error) {
	o := options{build: build}
	cmd := &cobra.Command{}
	o.addCycle(cmd)
	cmd.SetErr(stderr)
	if err := cmd.ParseFlags(flags); err != nil {
		return nil, err
	}

	program, err := o.wire(cmd)
	if err != nil {
		return nil, err
	}

	return &Service{program}, nil
}

// Cycle runs one cycle over all Applications. It reports whether an image or a
// repository failed; the error is for a cycle that could not be run at all.
func (s *Service) Cycle(ctx context.Context) (failed bool, err error) {
	result, err := s.program.engine.Cycle(ctx, engine.Everything(), false)
	if err != nil {
		return false, err
	}

	return result.Failed(), nil
}

// Close releases what the service holds. A later call has no effect.
func (s *Service) Close() { s.program.close() }
