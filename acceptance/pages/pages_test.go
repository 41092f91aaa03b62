package pages_test

import (
	"slices"
	"testing"

	"evenkeel/acceptance/pages"
)

func TestBlocksAreReadWithTheReasonForNotRunning(t *testing.T) {
	t.Parallel()
	got, err := pages.Blocks("text\n```sh\na\nb\n```\n\n```output\nc\n```\n```sh not run: needs " +
		"Azure\naz\n```\n```\nplain\n```\n" +
		"1. In a list:\n\n   ```sh\n   a\n     b\n   ```\n")
	want := []pages.Block{
		{Line: 2, Language: "sh", Text: "a\nb\n"},
		{Line: 7, Language: "output", Text: "c\n"},
		{Line: 10, Language: "sh", NotRun: "needs Azure", Text: "az\n"},
		{Line: 13, Text: "plain\n"},
		{Line: 18, Language: "sh", Text: "a\n  b\n"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestInvalidBlocksAreRejected(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"without an end":    "```sh\na\n",
		"without a reason":  "```sh not run: \na\n```\n",
		"with another mark": "```sh later\na\n```\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := pages.Blocks(page); err == nil {
				t.Errorf("got %+v, want a refusal", got)
			}
		})
	}
}

func TestOutputIsComparedAsAWhole(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, shown, printed string
		want                 bool
	}{
		{"equal", "a\nb\n", "a\nb\n", true},
		{"another line", "a\n", "a\nb\n", false},
		{"a line too few", "a\nb\n", "a\n", false},
		{"part of a line", "a\n", "ab\n", false},
		{"anything in a line", "a … c\n", "a b c\n", true},
		{"any lines", "…\nb\n…\n", "a\nb\nc\nd\n", true},
		{"any lines without the wanted one", "…\nx\n…\n", "a\nb\n", false},
		{"blanks at the end", "a\n", "a  \n", true},
		{"a wildcard", "in {seconds} s\n", "in 0.7 s\n", true},
		{"a wildcard of another form", "in {seconds} s\n", "in no s\n", false},
		{"an unknown wildcard", "{riddle}\n", "x\n", false},
		{"letters of regular expressions", "a.c (x)\n", "abc (x)\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := pages.Match(tc.shown, tc.printed, map[string]string{}); (err == nil) != tc.want {
				t.Errorf("got %v, want a match: %v", err, tc.want)
			}
		})
	}
}

func TestAValueWithANameIsTheSameThroughoutThePage(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	if err := pages.Match("device-2  {hub of device-2}\n", "device-2  hub-1\n", values); err != nil {
		t.Fatal(err)
	}
	if err := pages.Match("kept {hub of device-2}\n", "kept hub-1\n", values); err != nil {
		t.Error(err)
	}
	if err := pages.Match("{hub of x}, {hub of x}\n", "hub-1, hub-2\n", values); err == nil {
		t.Error("got a match with two hubs in one block")
	}
	if err := pages.Match("kept {hub of device-2}\n", "kept hub-2\n", values); err == nil {
		t.Error("got a match with a different hub")
	}
}
