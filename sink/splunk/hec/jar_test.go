package hec

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestJarIsBounded(t *testing.T) {
	var j jar
	if j.set([]*http.Cookie{{Name: "big", Value: strings.Repeat("x", maxCookie)}}) {
		t.Error("took a cookie that is too large")
	}
	for i := range 100 {
		if first := j.set([]*http.Cookie{{Name: fmt.Sprint("c", i), Value: "v"}}); first != (i == 0) {
			t.Errorf("cookie %d: first is %v", i, first)
		}
	}
	if len(j) != maxCookies {
		t.Errorf("%d cookies, want %d", len(j), maxCookies)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte("aaaaaaaa-1111\r\n\n bbbbbbbb-2222 \n"))
	f.Add([]byte("aaaaaaaa-1111\nwith space and more\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseTokens(b)
		if (err == nil) != (len(list) > 0) || len(list) > maxTokens {
			t.Fatalf("%d tokens, %v", len(list), err)
		}
		for _, token := range list {
			if len(token) < 8 || len(token) > maxToken || strings.IndexFunc(token, notTokenRune) >= 0 {
				t.Errorf("%q is no token", token)
			}
		}
	})
}
