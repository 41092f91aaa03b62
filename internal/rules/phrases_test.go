package rules_test

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// phrases are what no engineer writes in English, as patterns for whole words in any letter case, with what to write
// instead. A space matches a line break too.
var phrases = map[string]string{
	`lets? (?:nobody|anybody|everybody|somebody|the devices?|devices|you) in`: "authenticates, accepts, rejects",
	`(?:lets?|letting) (?:them|it) in`:                                        "accepts, authenticates",
	`is none that`:                                                            "is unknown, is invalid",
	`there (?:is|are) none`:                                                   "no X; X does not exist",
	`(?:it|that|this|which) is no (?:target|URL|backend|checkout|folder|file|JSON|number|date|text|host|identity|more)`: "is not a X; unknown X",
	`(?:are|is) there no more`: "no longer exists",
	`that (?:are|is) none`:     "invalid X; false X; no X",
	`anew`:                     "again; recreate; start over",
	`say that you mean`:        "confirm with",
	`go(?:es)? by (?:the|its|their|what|one|who|etags|sku)`: "depends on, uses",
	`of (?:its|their|your|his|our) own accord`:              "automatically",
	`by (?:itself|themselves)`:                              "automatically; alone",
	`goes on for`:                                           "keeps running for",
	`whoever`:                                               "users who; the client that",
	`whom it had`:                                           "its devices",
	`whose is what`:                                         "who owns what",
	`stands? twice`:                                         "is duplicated",
	`stands? (?:in|beside|under) (?:the|a|an|its|their)`: "is in",
	`lies what`: "contains",
	`(?:lies|lie|lay) (?:in|outside|beside|under)`:  "is in",
	`(?:nobody|everybody|anybody)(?:'s)?`:           "no client; all clients; unknown",
	`somebody else's`:                               "of another owner; of others",
	`made again`:                                    "recreated",
	`takes? (?:it|them)? ?along`:                    "also deletes",
	`nothing is said`:                               "by default; without X",
	`holds? (?:there|here|for it) too`:              "also applies to",
	`(?:leads?|led) (?:there|to the emulator)`:      "resolves to, serves",
	`in another way than`:                           "differently",
	`(?:is|are|was|were) told`:                      "gets; is notified",
	`tells? (?:it|no|of|nothing|nobody)`:            "returns, reports",
	`faulty`:                                        "invalid",
	`speaks? to`:                                    "calls, uses",
	`by whichever`:                                  "by any",
	`(?:is|are|was|were) asked (?:about|of|for it)`: "needs confirmation",
	`says? so`:                                      "reports it",
	`parted (?:in|by)`:                              "split, separated by",
	`of the dead`:                                   "stale",
	`goes? on (?:from|with|after|where)`:            "continues",
	`of ours`:                                       "our own",
	`(?:is|are) (?:passed over)`:                    "is ignored",
	`at hand`:                                       "available",
	`leafs`:                                         "leaf certificates",
	`shall`:                                         "must; will",
	`mend(?:s|ed|ing)?`:                             "repair, fix",
	`for ever`:                                      "without end, indefinitely",
	`without a word`:                                "silently",
	`is no more`:                                    "has ended",
	`find(?:s)? another hub`:                        "is assigned to another hub",
	`gets nobody`:                                   "gets no new devices",
	`newcomers find it`:                             "new devices are assigned to it",
	`it gets late`:                                  "extend the lifetime",
	`makes? room on`:                                "free space on",
	`tells? apart`:                                  "distinguishes",
	`told from`:                                     "distinguished from",
	`(?:is|are|was|were) said`:                      "is reported",
	`somebody`:                                      "a user; another client; another owner",
	`heals?`:                                        "reverts",
	`lives on`:                                      "is still open, still exists",
	`bears`:                                         "has; supports",
	`in the place of`:                               "instead of",
	`of paper`:                                      "fake",
	`in vain`:                                       "without success",
	`(?:all the while|all the same)`:                "throughout; nevertheless",
	`made out to`:                                   "issued to",
}

// unbroken are the phrases as one pattern each.
var unbroken = func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	for phrase := range phrases {
		all[phrase] = regexp.MustCompile(`(?i)\b(?:` + strings.ReplaceAll(phrase, " ", `\s+`) + `)\b`)
	}
	return all
}()

// TestTextsForUsersArePlainEnglish checks the pages, the templates of stack files, the schema of the provider and the
// strings of the code.
func TestTextsForUsersArePlainEnglish(t *testing.T) {
	t.Parallel()
	expectPlain(t, userTexts(t))
}

// TestCommentsAndTestsArePlainEnglish checks the comments, and the strings and names of tests.
func TestCommentsAndTestsArePlainEnglish(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, f := range files(t) {
		if f.path == "internal/rules/phrases_test.go" {
			continue
		}
		add := func(at token.Pos, text string) { texts[f.fset.Position(at).String()] = text }
		for _, comment := range f.ast.Comments {
			add(comment.Pos(), comment.Text())
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && f.test {
				add(fn.Pos(), capital.ReplaceAllString(fn.Name.Name, " $0"))
			}
		}
		if f.test {
			addStrings(f, texts)
		}
	}
	expectPlain(t, texts)
}

// capital matches the beginning of a word in a name.
var capital = regexp.MustCompile(`[A-Z]`)

// expectPlain fails the test for each phrase in the texts, which are by place.
func expectPlain(t *testing.T, texts map[string]string) {
	t.Helper()
	for place, text := range texts {
		for phrase, pattern := range unbroken {
			for _, at := range pattern.FindAllStringIndex(text, -1) {
				line, found := 1+strings.Count(text[:at[0]], "\n"), strings.Fields(text[at[0]:at[1]])
				t.Errorf("%s, line %d: %q: write %s", place, line, strings.Join(found, " "), phrases[phrase])
			}
		}
	}
}

// userTexts returns by place what users read.
func userTexts(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	add := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		texts[rel] = string(text)
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} {
		add(filepath.Join(root, name))
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(name string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") {
			add(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, glob := range []string{"internal/provider/testdata/schema.json", "schema/*.json", "stacks/*.example.yaml"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(glob)))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			t.Errorf("no file matches %s", glob)
		}
		for _, name := range names {
			add(name)
		}
	}
	for _, f := range files(t) {
		if !f.test {
			addStrings(f, texts)
		}
	}
	return texts
}

// addStrings adds the strings of a file by place. A single word is a name.
func addStrings(f file, texts map[string]string) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && strings.ContainsAny(text, " \n") {
				texts[f.fset.Position(literal.Pos()).String()] = text
			}
		}
		return true
	})
}

func TestPhrasesMatchWholeWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"The rule lets\nthem in.": `(?:lets?|letting) (?:them|it) in`,
		"made Anew":               `anew`,
		"a renewal":               "",
		"recommended":             "",
		"amended":                 "",
		"repair it":               "",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got := ""
			for phrase, pattern := range unbroken {
				if pattern.MatchString(text) {
					got = phrase
				}
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
