package hec

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBreakerDoubles(t *testing.T) {
	var b breaker
	now := noon
	b.failure(now)
	b.failure(now)
	b.success()
	b.failure(now)
	b.failure(now)
	if !b.passes() {
		t.Fatal("opened after two failures in a row")
	}
	b.failure(now)
	for _, want := range []time.Duration{5, 10, 20, 40, 60, 60} {
		want *= time.Second
		b.failure(now) // began before it opened
		if b.passes() || b.due(now.Add(want-1)) || !b.due(now.Add(want)) {
			t.Fatalf("not open for %v: %+v", want, b)
		}
		now = now.Add(want)
		b.state = probing
		b.probed(true, now)
		b.begin()
		if b.passes() {
			t.Fatal("two trials at once")
		}
		b.abandon()
		if !b.passes() {
			t.Fatal("a trial that was given up is not made again")
		}
		b.begin()
		b.failure(now)
	}
	b.state = probing
	b.probed(false, now)
	if b.passes() {
		t.Fatal("passes after a probe that failed")
	}
	b.success()
	if b != (breaker{}) {
		t.Errorf("%+v after a success", b)
	}
}

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
