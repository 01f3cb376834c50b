package gymnasium

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// process is the Python program at the other end of the pipe. It answers one
// question at a time.
type process struct {
	ctx     context.Context
	python  string
	scratch string // the folder it runs in, where MuJoCo leaves a log
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	said    tail // on its standard error

	ended  func() error // waits for its end, once
	broken error        // why nothing more can be asked
}

// patience is how long the program may take to end once its input has.
const patience = 5 * time.Second

func start(ctx context.Context, python string) (p *process, err error) {
	p = &process{ctx: ctx, python: cmp.Or(python, DefaultPython)}
	path, err := exec.LookPath(p.python)
	if err != nil {
		return nil, fmt.Errorf("%w; install Python 3 with gymnasium[mujoco], or say by --python which one has it", err)
	}
	path, absolute := filepath.Abs(path)
	here, err := os.Getwd()
	if err = errors.Join(absolute, err); err != nil {
		return nil, err
	}
	if p.scratch, err = os.MkdirTemp("", "diffstitch-env-"); err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, path, "-u", "-c", server, here)
	p.cmd.Dir, p.cmd.Stderr, p.cmd.WaitDelay = p.scratch, &p.said, patience
	if err := p.run(); err != nil {
		return nil, errors.Join(fmt.Errorf("running %s: %w", p.python, err), os.RemoveAll(p.scratch))
	}
	return p, nil
}

func (p *process) run() error {
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.in, p.out = in, bufio.NewReader(out)
	p.ended = sync.OnceValue(p.cmd.Wait)
	return p.cmd.Start()
}

// call asks, and gives the body of the answer, which must be of the wanted kind
// and, unless it is text, of a size. After an error of the pipe nothing more can
// be asked; one of the environment leaves it as it was.
func (p *process) call(kind byte, question []byte, wanted byte, size int) ([]byte, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	err := p.ctx.Err() // the program may yet have to be told
	if err == nil {
		err = writeFrame(p.in, kind, question)
	}
	if err != nil {
		return nil, p.breaks(err)
	}
	got, answer, err := readFrame(p.out, size)
	switch {
	case err != nil:
		return nil, p.breaks(err)
	case got == kindError:
		return nil, parseError(answer, p.python)
	case got != wanted:
		return nil, p.breaks(fmt.Errorf("an answer of kind %q to a question of kind %q", got, kind))
	}
	return answer, nil
}

// breaks ends the program, of which err is all that is known so far.
func (p *process) breaks(err error) error {
	ended := "exit status 0"
	if failed := p.end(); failed != nil {
		ended = failed.Error()
	}
	switch said := p.said.String(); {
	case p.ctx.Err() != nil:
		p.broken = p.ctx.Err()
	case said != "":
		p.broken = fmt.Errorf("the Python program broke off: %w (%s); it said last:\n%s", err, ended, said)
	default:
		p.broken = fmt.Errorf("the Python program broke off: %w (%s)", err, ended)
	}
	return p.broken
}

// end ends the program by the end of its input, or by force.
func (p *process) end() error {
	closed := p.in.Close()
	force := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() }) // it may have ended just then
	defer force.Stop()
	if err := p.ended(); err != nil {
		closed = err // which says more
	}
	return errors.Join(closed, os.RemoveAll(p.scratch))
}

// close ends the program. That it broke off was said before.
func (p *process) close() error {
	if p.broken != nil {
		return nil
	}
	p.broken = errors.New("it is closed")
	if err := p.end(); err != nil && p.ctx.Err() == nil {
		return fmt.Errorf("the Python program: %w: %s", err, p.said.String())
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// maxTail is how much of it, in bytes.
const maxTail = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.kept), ""))
}
