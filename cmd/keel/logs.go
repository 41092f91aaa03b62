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
	log, err := openLog(folder.Log())
	if errors.Is(err, os.ErrNotExist) {
		return hint.To(errors.New("there is no log: the emulator has not run here"),
			"start it with: keel emulator start")
	}
	if err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	defer func() { _ = log.file.Close() }()
	write := func(line string) error { _, err := io.WriteString(a.stdout, line); return err }
	if a.json {
		encoder := json.NewEncoder(a.stdout)
		write = func(line string) error { return encoder.Encode(parseLog(strings.TrimRight(line, "\r\n"))) }
	}
	if follow {
		err = log.follow(ctx, write)
	} else {
		err = log.print(write)
	}
	if err != nil {
		return fmt.Errorf("print the log: %w", err)
	}
	return nil
}

// logFile is a log that may grow while it is read.
type logFile struct {
	path  string
	file  *os.File
	lines *bufio.Reader
	// read is how many bytes were read, begun the part of a line among them that has no end yet.
	read  int64
	begun string
}

func openLog(path string) (*logFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, file: file, lines: bufio.NewReader(file)}, nil
}

// print calls write with the lines that there are, the last one with or without its end.
func (l *logFile) print(write func(line string) error) error {
	if err := l.rest(write); err != nil || l.begun == "" {
		return err
	}
	return write(l.begun)
}

// rest calls write with the whole lines that were not read yet.
func (l *logFile) rest(write func(line string) error) error {
	for {
		text, err := l.lines.ReadString('\n')
		l.read += int64(len(text))
		l.begun += text
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line := l.begun
		l.begun = ""
		if err := write(line); err != nil {
			return err
		}
	}
}

// follow calls write with the existing lines and then with new ones, until ctx ends. If the log is removed or
// truncated, it continues with the new file.
func (l *logFile) follow(ctx context.Context, write func(line string) error) error {
	for {
		// The look comes first: what was written to the file until it was replaced is read before the new one is.
		next, replaced := l.replacement()
		err := l.rest(write)
		if replaced {
			if err == nil && l.begun != "" {
				err = write(l.begun + "\n")
			}
			_ = l.file.Close()
			*l = *next
		}
		if err != nil {
			return err
		}
		if replaced {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logPoll):
		}
	}
}

// replacement opens the log again when its file is another one by now, or holds less than was read.
func (l *logFile) replacement() (next *logFile, replaced bool) {
	next, err := openLog(l.path)
	if err != nil {
		return nil, false // it has not come back yet
	}
	before, errBefore := l.file.Stat()
	now, errNow := next.file.Stat()
	if errBefore == nil && errNow == nil && (!os.SameFile(before, now) || now.Size() < l.read) {
		return next, true
	}
	_ = next.file.Close()
	return nil, false
}

// parseLog parses a line of the log: pairs of key=value, with quoted values if necessary. A line that the logger did
// not write, such as the last output of a killed process, is a message.
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
