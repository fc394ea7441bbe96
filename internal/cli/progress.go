package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/patchbay/patchbay/internal/api"
)

// progress shows an operation's journal to a person.
type progress interface {
	// entry takes one journal entry; one that was taken before is passed over.
	entry(api.JournalEntry)
	// end says how the operation ended.
	end(*api.Operation)
	// close leaves the terminal as it should be. It may be called after end.
	close()
}

// progress chooses the view: none, live on a terminal, else plain lines.
func (s *shell) progress() progress {
	switch {
	case s.g.onlyErrors:
		return noProgress{}
	case s.Streams.ErrTerminal && !s.dumb() && !s.g.debug:
		return newLiveProgress(s)
	}
	return &plainProgress{shell: s, steps: newStepBook()}
}

type noProgress struct{}

func (noProgress) entry(api.JournalEntry) {}
func (noProgress) end(*api.Operation)     {}
func (noProgress) close()                 {}

// stepState is what is known of one step.
type stepState struct {
	label, mark string
	since       time.Time
	took        time.Duration
	note        string
}

// Marks of a step.
const (
	waiting = "waiting"
	running = "running"
	done    = "done"
	failed  = "failed"
	undoing = "undoing"
	undone  = "undone"
)

// stepBook turns journal entries into the states of steps, in order of appearance.
type stepBook struct {
	last  int64
	order []string
	steps map[string]*stepState
	first time.Time
}

func newStepBook() *stepBook { return &stepBook{steps: map[string]*stepState{}} }

// phases maps a journal's phases to marks; the others change no step.
func phases() map[string]string {
	return map[string]string{"intent": running, "done": done, "failed": failed, "undo": undoing, "undone": undone}
}

// take notes one entry and returns the step it changed, or nil.
func (b *stepBook) take(e api.JournalEntry) *stepState {
	if e.Seq != 0 && e.Seq <= b.last {
		return nil
	}
	b.last = max(b.last, e.Seq)
	if b.first.IsZero() {
		b.first = e.At
	}
	mark, ok := phases()[e.Phase]
	if !ok || e.Step == "" {
		return nil
	}
	step := b.steps[e.Step]
	if step == nil {
		step = &stepState{label: stepLabel(e.Step), since: e.At}
		b.steps[e.Step] = step
		b.order = append(b.order, e.Step)
	}
	if mark == running || mark == undoing {
		step.since = e.At
	}
	step.mark, step.note, step.took = mark, e.Note, e.At.Sub(step.since)
	return step
}

// stepLabel makes "setting app1/appsettings" of a step's id, which is its kind and
// the path that is written, with a colon between.
func stepLabel(id string) string {
	i := strings.Index(strings.ToLower(id), "/subscriptions/")
	if i < 0 {
		return strings.Replace(id, ":", " ", 1)
	}
	kind := strings.TrimSpace(strings.ReplaceAll(id[:i], ":", " "))
	return strings.TrimSpace(kind + " " + shortID(id[i:]))
}

// plainProgress prints one line per ended step.
type plainProgress struct {
	*shell
	steps *stepBook
}

func (p *plainProgress) entry(e api.JournalEntry) {
	step := p.steps.take(e)
	switch {
	case step == nil:
		return
	case step.mark == running || step.mark == undoing:
		p.detail("%-7s %s", step.mark, step.label)
	default:
		p.line("%-7s %s (%s)%s", step.mark, step.label, seconds(step.took), noteText(step))
	}
}

func (p *plainProgress) end(op *api.Operation) { p.line("%s", endLine(op)) }
func (p *plainProgress) close()                {}

func noteText(step *stepState) string {
	if step.note == "" || step.mark == done {
		return ""
	}
	return ": " + step.note
}

// seconds prints a duration shortly.
func seconds(d time.Duration) string {
	if d < 50*time.Millisecond {
		return fmt.Sprintf("%dms", max(d, 0).Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// endLine says what an operation did and how long it took.
func endLine(op *api.Operation) string {
	took := ""
	if op.Started != nil && op.Ended != nil {
		took = " in " + seconds(op.Ended.Sub(*op.Started))
	}
	verb := map[string]string{"create": "created", "update": "updated", "delete": "deleted", "repair": "repaired", "validate": "validated"}[op.Verb]
	if op.Status != "Succeeded" || verb == "" {
		return op.Verb + " " + connectionLabel(op.Connection) + ": " + strings.ToLower(op.Status) + took
	}
	return verb + " " + connectionLabel(op.Connection) + took
}

// liveProgress redraws the steps in place.
type liveProgress struct {
	out     io.Writer
	width   func() int
	paint   func(colour, text string) painted
	mu      sync.Mutex
	book    *stepBook
	began   time.Time
	now     func() time.Time
	frame   int
	drawn   int // lines on the screen that are ours
	stop    chan struct{}
	stopped sync.WaitGroup
	closed  bool
}

func newLiveProgress(s *shell) *liveProgress {
	width := s.Streams.Width
	if width == nil {
		width = func() int { return 80 }
	}
	p := &liveProgress{out: s.Streams.Err, width: width, paint: s.paint, book: newStepBook(),
		began: time.Now(), now: time.Now, stop: make(chan struct{})}
	p.stopped.Add(1)
	go p.spin()
	return p
}

// spin redraws until close; it is the only goroutine, and close waits for it.
func (p *liveProgress) spin() {
	defer p.stopped.Done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.mu.Lock()
			p.frame++
			p.draw("")
			p.mu.Unlock()
		}
	}
}

func (p *liveProgress) entry(e api.JournalEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.book.take(e) != nil {
		p.draw("")
	}
}

func (p *liveProgress) end(op *api.Operation) {
	p.halt()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(printable(endLine(op)))
	p.closed = true
}

func (p *liveProgress) close() {
	p.halt()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		p.draw("")
	}
}

// halt ends the redrawing; it may be called twice.
func (p *liveProgress) halt() {
	p.mu.Lock()
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.mu.Unlock()
	p.stopped.Wait()
}

// draw replaces what is on the screen; last is the line at the end, or "" while
// the operation runs.
func (p *liveProgress) draw(last string) {
	if p.closed {
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	lines := make([]string, 0, len(p.book.order)+1)
	for _, id := range p.book.order {
		lines = append(lines, p.stepLine(p.book.steps[id]))
	}
	if last == "" {
		last = string(p.paint(dim, "  "+seconds(p.now().Sub(p.began))+" elapsed"))
	}
	lines = append(lines, last)
	for _, l := range lines {
		b.WriteString("\r\x1b[2K" + l + "\n")
	}
	p.drawn = len(lines)
	_, _ = io.WriteString(p.out, b.String()) // a terminal that is gone cannot be told so
}

func (p *liveProgress) stepLine(s *stepState) string {
	frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	sign, colour := string(frames[p.frame%len(frames)]), amber
	took := ""
	switch s.mark {
	case done:
		sign, colour, took = "✓", green, seconds(s.took)
	case failed:
		sign, colour, took = "✗", red, seconds(s.took)
	case undone:
		sign, colour, took = "↩", amber, "undone"
	case undoing:
		took = "undoing"
	}
	room := max(p.width()-6-len(took), 10)
	label := clip(printable(s.label+noteText(s)), room)
	return fmt.Sprintf("  %s %s%s %s", p.paint(colour, sign), label, strings.Repeat(" ", max(room-displayWidth(label), 0)), p.paint(dim, took))
}

// clip shortens a text to a number of terminal columns.
func clip(text string, room int) string {
	if displayWidth(text) <= room {
		return text
	}
	n := 0
	for i, r := range text {
		if n+runeWidth(r) > room-1 {
			return text[:i] + "…"
		}
		n += runeWidth(r)
	}
	return text
}
