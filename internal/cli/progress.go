package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows the progress of stages: a bar each on a terminal, otherwise a line
// every few seconds and at the end of a stage.
type progress struct {
	out  io.Writer
	bars *mpb.Progress // nil: plain lines

	mu     sync.Mutex
	byName map[string]*mpb.Bar
	last   map[string]time.Time
}

// plainEvery is the time between two lines of a stage.
const plainEvery = 5 * time.Second

func newProgress(stderr io.Writer) *progress {
	p := &progress{out: stderr, byName: map[string]*mpb.Bar{}, last: map[string]time.Time{}}
	if isTerminal(stderr) {
		p.bars = mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(60))
	}
	return p
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) //nolint:gosec // a file descriptor fits
}

func (p *progress) step(stage string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars != nil {
		bar := p.byName[stage]
		if bar == nil {
			bar = p.bars.AddBar(int64(total), mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(stage, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.CountersNoUnit("%d of %d")))
			p.byName[stage] = bar
		}
		bar.SetCurrent(int64(done))
		return
	}

	if p.last[stage].IsZero() {
		p.last[stage] = time.Now()
	}

	if done == total || time.Since(p.last[stage]) >= plainEvery {
		p.last[stage] = time.Now()
		_, _ = fmt.Fprintf(p.out, "%s: %d of %d\n", stage, done, total)
	}
}

// done removes the bars from the screen.
func (p *progress) done() {
	if p.bars == nil {
		return
	}

	p.mu.Lock()
	for _, bar := range p.byName {
		bar.Abort(true) // no effect on one that is complete
	}

	p.mu.Unlock()
	p.bars.Wait()
}
