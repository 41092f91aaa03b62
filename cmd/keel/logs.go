package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/hint"
)

// logPoll is how often a log that is followed is looked at.
const logPoll = 200 * time.Millisecond

func (a *app) emulatorLogs(ctx context.Context, follow bool) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	file, err := os.Open(folder.Log())
	if errors.Is(err, os.ErrNotExist) {
		return hint.To(errors.New("there is no log: the emulator has not run here"), "start it with: keel emulator start")
	}
	if err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	write := func(line string) error { _, err := io.WriteString(a.stdout, line); return err }
	if a.json {
		encoder := json.NewEncoder(a.stdout)
		write = func(line string) error { return encoder.Encode(parseLog(strings.TrimRight(line, "\r\n"))) }
	}
	lines, begun := bufio.NewReader(file), ""
	for {
		text, err := lines.ReadString('\n')
		begun += text // the end of the file may be in the middle of a line that is being written
		switch {
		case err == nil || !follow && begun != "":
			if writeErr := write(begun); writeErr != nil {
				return fmt.Errorf("print the log: %w", writeErr)
			}
			begun = ""
		case err != io.EOF:
			return fmt.Errorf("print the log: %w", err)
		case !follow:
			return nil
		default:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(logPoll):
			}
		}
	}
}

// parseLog takes a line of the log apart: pairs as key=value, with values in quotes where they need them. A line that is none of the
// logger's, such as the last words of a process that was killed, is a message.
func parseLog(line string) map[string]string {
	fields := map[string]string{}
	for rest := line; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		key, value, found := strings.Cut(rest, "=")
		if quoted, err := strconv.QuotedPrefix(key); err == nil && quoted == key {
			key, _ = strconv.Unquote(key)
		}
		if !found || key == "" || strings.ContainsAny(key, " \t") {
			return map[string]string{"msg": line}
		}
		quoted, err := strconv.QuotedPrefix(value)
		if err == nil {
			fields[key], _ = strconv.Unquote(quoted)
			rest = value[len(quoted):]
			continue
		}
		fields[key], rest, found = strings.Cut(value, " ")
		if found {
			rest = " " + rest
		}
	}
	return fields
}
