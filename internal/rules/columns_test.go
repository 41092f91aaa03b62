package rules_test

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns is the width of a line of code; a tab counts as tabColumns.
const (
	maxColumns = 120
	tabColumns = 4
)

// unbreakable matches a line with nothing but one string or one URL, which cannot be broken.
var unbreakable = regexp.MustCompile(`^\s*("([^"\\]|\\.)*"|// *https?://\S+)[,)}:; +]*$`)

func TestLinesFitTheWidth(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		text, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range wideLines(text) {
			t.Errorf("%s:%d: the line has more than %d columns", f.path, n, maxColumns)
		}
	}
}

// wideLines returns the numbers of the lines that are too wide, except those that cannot be broken: a line with only
// one string or URL, and a line with a part of a raw string.
func wideLines(text []byte) []int {
	raw := rawLines(text)
	var wide []int
	for i, line := range strings.Split(string(text), "\n") {
		if columns(line) > maxColumns && !raw[i+1] && !unbreakable.MatchString(line) {
			wide = append(wide, i+1)
		}
	}
	return wide
}

// rawLines returns the lines that hold a part of a raw string.
func rawLines(text []byte) map[int]bool {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := map[int]bool{}
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind == token.STRING && strings.HasPrefix(literal, "`") {
			for n := range strings.Count(literal, "\n") + 1 {
				lines[file.Line(pos)+n] = true
			}
		}
	}
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + strings.Count(line, "\t")*(tabColumns-1)
}

func TestWideLinesAreFound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxColumns)
	for name, test := range map[string]struct {
		line string
		wide bool
	}{
		"a string alone":       {"\t\"" + long + "\",", false},
		"a key alone":          {"\t\"" + long + "\": {", true},
		"a raw string":         {"\tcall(`" + long + "`, 1)", false},
		"a URL":                {"\t// https://example.com/" + long, false},
		"a string and more":    {"\tcall(\"" + long + "\", \"b\")", true},
		"a comment":            {"\t// " + long, true},
		"a URL after a word":   {"\t// see https://example.com/" + long, true},
		"120 columns":          {long, false},
		"a tab before 117":     {"\t" + long[:maxColumns-3], true},
		"a tab before 116":     {"\t" + long[:maxColumns-4], false},
		"120 letters with ö":   {strings.Repeat("ö", maxColumns), false},
		"code in many letters": {long + " + y", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := len(wideLines([]byte(test.line))) > 0; got != test.wide {
				t.Errorf("got wide %v, want %v", got, test.wide)
			}
		})
	}
}
