//go:build unix

package environment_test

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"evenkeel/internal/await"
	"evenkeel/internal/keel/environment"
)

// TestAChildIsInterruptedOnce: a terminal or a pipeline that interrupts keel's process group interrupts the child too.
// A second interrupt makes Pulumi stop at once, with a wrong state.
func TestAChildIsInterruptedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		byItself  bool
		sent      string
		sameGroup bool
	}{
		"keel passes it on":        {byItself: false, sent: "interrupted\n", sameGroup: false},
		"the terminal sends it on": {byItself: true, sent: "", sameGroup: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, into := io.Pipe()
			input, end := io.Pipe()
			e := &environment.Environment{
				Folder: environment.Folder{Root: t.TempDir()}, Stack: "mine", OwnInterrupts: test.byItself,
				Stdin: input, Stdout: into, Stderr: into, Inherited: []string{"PATH=/usr/bin:/bin"},
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- e.Exec(ctx, t.TempDir(), "sh", "-c",
					"trap 'echo interrupted' INT; echo $$; read line; read line; echo end")
				into.Close()
			}()
			lines := await.NewLines(t, "the child", output, func() { _ = output.Close() })
			pid, err := strconv.Atoi(strings.TrimSpace(lines.Next()))
			if err != nil {
				t.Fatal(err)
			}
			group, err := syscall.Getpgid(pid)
			if err != nil {
				t.Fatal(err)
			}
			if same := group == syscall.Getpgrp(); same != test.sameGroup {
				t.Errorf("the child is in the process group %d, ours is %d", group, syscall.Getpgrp())
			}
			cancel()
			if test.sent != "" {
				if line := lines.Next() + "\n"; line != test.sent {
					t.Errorf("after the interrupt: got %q, want %q", line, test.sent)
				}
			}
			_, _ = io.Copy(end, bytes.NewBufferString("\n\n"))
			end.Close()
			if line := lines.Next(); line != "end" {
				t.Errorf("in the end: got %q", line)
			}
			lines.End()
			await.Next(t, ended, "the end of the child")
		})
	}
}
