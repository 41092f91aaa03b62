// Package pages reads the command blocks of the documents, so that tests can run them as they are printed, and compares
// what a command prints with what its page shows.
//
// A block of commands that tests run begins with ```sh. A block ```sh needs: WORD... runs only in a test that provides
// what it needs, and ```sh not run: REASON does not run. A block ```output after it shows the whole output of the
// commands, with wildcards: … matches anything in a line or, alone in a line, any lines, and a name in braces matches
// a value that differs between runs. The package itself runs no commands.
package pages

import (
	"fmt"
	"regexp"
	"strings"
)

// Run lists the pages whose commands the acceptance tests run, each page in a checkout without an environment.
var Run = []string{
	"docs/tutorial.md",
	"docs/how-to/add-a-hub.md",
	"docs/how-to/check-the-distribution.md",
	"docs/how-to/drain-and-remove-a-hub.md",
	"docs/how-to/find-devices.md",
	"docs/how-to/import.md",
	"docs/how-to/many-devices.md",
	"docs/how-to/move-devices.md",
	"docs/how-to/rotate-keys.md",
	"docs/how-to/share-a-service.md",
	"docs/how-to/stock-sdks.md",
	"docs/how-to/x509.md",
}

// Block is a fenced block of a page.
type Block struct {
	// Line is the line of the opening fence, from 1.
	Line int
	// Language is the first word after the fence, such as sh or output; "" without one.
	Language string
	// NotRun is the reason that the page gives for not running the block.
	NotRun string
	// Needs names what the block needs, separated by spaces, such as mosquitto.
	Needs string
	Text  string
}

// Blocks returns the fenced blocks of a page in order.
func Blocks(page string) ([]Block, error) {
	var blocks []Block
	var open *Block
	number, indent := 0, "" // a block in a list is indented
	for line := range strings.Lines(page) {
		number++
		plain := strings.TrimLeft(line, " ")
		if open == nil {
			indent = line[:len(line)-len(plain)]
		}
		fence, isFence := strings.CutPrefix(strings.TrimRight(plain, "\r\n"), "```")
		switch {
		case isFence && open == nil:
			language, rest, _ := strings.Cut(strings.TrimSpace(fence), " ")
			open = &Block{Line: number, Language: language}
			if needs, ok := strings.CutPrefix(rest, "needs: "); ok {
				open.Needs = needs
			} else if rest != "" {
				reason, ok := strings.CutPrefix(rest, "not run: ")
				if !ok || strings.TrimSpace(reason) == "" {
					return nil, fmt.Errorf("line %d: after the language comes `not run: REASON`, not %q", number, rest)
				}
				open.NotRun = reason
			}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block is not closed", open.Line)
	}
	return blocks, nil
}

// wildcards match values that differ between runs, by the first word of their name in braces.
var wildcards = map[string]string{
	"seconds": `[0-9]+(?:\.[0-9]+)?`,
	"number":  `[0-9]+`,
	"share":   ` *[0-9]+\.[0-9]`,
	"bar":     `█*`,
	"hub":     `hub-[0-9]+`,
	"suffix":  `[0-9a-f]{8}`,
	"service": `[a-z0-9-]+`,
	"scope":   `0ne[0-9A-F]+`,
	"time":    `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`,
	"folder":  `/.*`,
	"port":    `[0-9]+`,
	"key":     `[A-Za-z0-9+/]+=*`,
}

var placeholder = regexp.MustCompile(`\{[a-z]+(?: [a-z0-9-]+)*\}|…`)

// Match compares a command's output with the output on a page. A wildcard with more than one word in its name, such as
// {hub of device-2}, has the same value wherever the page uses it; values holds the values so far.
func Match(shown, printed string, values map[string]string) error {
	var pattern strings.Builder
	names := map[string]string{} // of wildcards with a value, by the name of their group
	pattern.WriteString("^")
	for line := range strings.Lines(shown) {
		line = strings.TrimRight(line, " \r\n")
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		if err := matchLine(&pattern, line, names, values); err != nil {
			return err
		}
		pattern.WriteString(` *\n`)
	}
	pattern.WriteString("$")
	matcher, err := regexp.Compile(pattern.String())
	if err != nil {
		return fmt.Errorf("read the wildcards: %w", err)
	}
	found := matcher.FindStringSubmatch(strings.ReplaceAll(printed, "\r\n", "\n"))
	if found == nil {
		return fmt.Errorf("it printed\n%s\nand the page shows\n%s", printed, shown)
	}
	for i, group := range matcher.SubexpNames() {
		name := names[group]
		if name == "" {
			continue
		}
		if other := values[name]; other != "" && other != found[i] { // twice in one block
			return fmt.Errorf("{%s} is both %q and %q in\n%s", name, other, found[i], printed)
		}
		values[name] = found[i]
	}
	return nil
}

// matchLine adds the pattern of one line.
func matchLine(pattern *strings.Builder, line string, names, values map[string]string) error {
	rest := line
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			break
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]))
		wildcard := rest[at[0]:at[1]]
		rest = rest[at[1]:]
		if wildcard == "…" {
			pattern.WriteString(`.*`)
			continue
		}
		name := strings.Trim(wildcard, "{}")
		kind, _, isNamed := strings.Cut(name, " ")
		value, known := wildcards[kind]
		switch {
		case !known:
			return fmt.Errorf("unknown wildcard %s", wildcard)
		case !isNamed:
			pattern.WriteString("(?:" + value + ")")
		case values[name] != "":
			pattern.WriteString(regexp.QuoteMeta(values[name]))
		default:
			group := fmt.Sprintf("g%d", len(names))
			names[group] = name
			pattern.WriteString("(?P<" + group + ">" + value + ")")
		}
	}
	pattern.WriteString(regexp.QuoteMeta(rest))
	return nil
}
