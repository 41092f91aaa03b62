package requestlog_test

import (
	"strings"
	"testing"

	"evenkeel/emulator/internal/requestlog"
)

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"/devices/d1?api-version=2021-04-12", "/devices/d1?api-version=2021-04-12"},
		{
			"/devices/sig/messages/events?api-version=2021-04-12",
			"/devices/sig/messages/events?api-version=2021-04-12",
		},
		{"/devices/key-1/code?a=b", "/devices/key-1/code?a=b"},
		{"/a?sig=SECRET&api-version=1", "/a?sig=…&api-version=1"},
		{"/a?api-version=1&SIG=SECRET%2B", "/a?api-version=1&SIG=…"},
		{"/a?code=SECRET==", "/a?code=…"},
		{"/a?sharedAccessKey=SECRET&b=c", "/a?sharedAccessKey=…&b=c"},
		{"/a?authorization=SharedAccessSignature%20sr%3Dh%26sig%3DSECRET%26se%3D1", "/a?authorization=…"},
		{
			"devices/d1/messages/events/auth=SharedAccessSignature%20sr%3Dh%26sig%3DSECRET&a=b",
			"devices/d1/messages/events/auth=…&a=b",
		},
		{"devices/d1/messages/events/key=SECRET&a=b", "devices/d1/messages/events/key=…&a=b"},
		{
			"devices/d1/messages/events/c=HostName%3Dh%3BSharedAccessKey%3DSECRET%3D&a=b",
			"devices/d1/messages/events/c=HostName%3Dh%3BSharedAccessKey%3D…&a=b",
		},
		{"/a?q=Bearer%20SECRET", "/a?q=…"},
		{"/a?\u017fig=SECRET", "/a?\u017fig=…"},
		{"/a?\u212aEY=SECRET", "/a?\u212aEY=…"},
		{"/a?access_token=SECRET", "/a?access_token=…"},
		{"/a?primaryKey=SECRET", "/a?primaryKey=…"},
		{"/a?client_secret=SECRET", "/a?client_secret=…"},
		{"/a?client_assertion=SECRET", "/a?client_assertion=…"},
		{"/a?x=1;password=SECRET", "/a?x=1;password=…"},
	} {
		t.Run(test.text, func(t *testing.T) {
			text, want := test.text, test.want
			got := requestlog.Redact(text)
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			l := requestlog.New(1)
			l.Record(requestlog.Record{Path: text})
			if kept := l.Records(requestlog.Filter{})[0].Path; kept != got || strings.Contains(kept, "SECRET") {
				t.Errorf("the log keeps %s of %s", kept, text)
			}
		})
	}
}
