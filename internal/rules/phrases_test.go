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

// phrases are what no engineer writes in English, with what to write instead. They are patterns for whole words, without
// regard to letter case, in which a space matches a line break too.
var phrases = map[string]string{
	`lets? (nobody|anybody|everybody|somebody|them|it|the devices?|devices|you|him) in`: "authenticate, accept or reject",
	`let in`:                                     "accepted, authenticated",
	`is none that`:                               "does not have, is unknown, is invalid",
	`(is|are) no (target|environment|URL|name that)`: "unknown X, invalid X",
	`there (is|are) none of`:                     "does not exist",
	`anew`:                                       "again; recreate",
	`say that you mean it`:                       "confirm with --yes",
	`go(es)? by (the|its|their|what|one|who)`:    "depends on, follows, uses",
	`of (its|their|your|his) own accord`:         "automatically",
	`by itself`:                                  "automatically",
	`whom it had`:                                "its devices",
	`whose is what`:                              "who owns what",
	`for good and all`:                           "permanently",
	`stands? twice`:                              "is duplicated",
	`lies? what`:                                 "contains",
	`nobody (else )?(knows|is moved|asks)`:       "unknown; no device moves",
	`what nobody`:                                "what is unknown",
	`at hand`:                                    "available",
	`leafs`:                                      "leaf certificates",
	`on the road`:                                "in transit",
	`comes? in and`:                              "registers and",
	`find(s)? its way`:                           "reaches",
	`be it`:                                      "whether",
	`shall`:                                      "must; will",
	`it gets late`:                               "keep it longer",
	`the hard way`:                               "by force",
	`the (dead|living)`:                          "a process that has ended or runs",
	`mend(s|ed|ing)?`:                            "fix, repair",
	`hitherto|thereby|therein|thereof|whereof`:   "simpler words",
	`as it (stands|likes)`:                       "as is",
	`makes? room on`:                             "free space on",
	`who (takes|speaks|holds) `:                  "that, or the actor by name",
	`(told|tells) apart`:                         "distinguished",
	`told from`:                                  "distinguished from",
	`does not stand`:                             "is not in, is missing",
}
