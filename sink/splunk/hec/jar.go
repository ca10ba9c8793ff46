package hec

import (
	"net/http"
	"slices"
)

// Bounds of a jar: 16 cookies of 4 KiB are 64 KiB.
const (
	maxCookies = 16
	maxCookie  = 4 << 10
)

// A jar keeps the cookies of one endpoint, which is one host, so that balancers
// send its requests to one indexer. Unlike the standard library's its size is
// bounded; beyond that a new cookie is ignored.
type jar []*http.Cookie

// add puts the cookies into a request.
func (j jar) add(r *http.Request) {
	for _, c := range j {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
	}
}

// set takes in those of an answer and says whether they are the first.
func (j *jar) set(cookies []*http.Cookie) bool {
	empty := len(*j) == 0
	for _, c := range cookies {
		*j = slices.DeleteFunc(*j, func(old *http.Cookie) bool { return old.Name == c.Name })
		if c.MaxAge >= 0 && len(*j) < maxCookies && len(c.Name)+len(c.Value) <= maxCookie {
			*j = append(*j, &http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
		}
	}
	return empty && len(*j) > 0
}
