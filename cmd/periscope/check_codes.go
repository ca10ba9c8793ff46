package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

// badEvent is what to do about an event that Splunk cannot read.
const badEvent = "something on the way changes the body: check proxies; without one this should not happen, so report it"

// codeAdvice says what to do about each code of Splunk's HTTP Event Collector;
// "" where there is nothing to do.
var codeAdvice = [...]string{
	0:  "",
	1:  "enable the token in Splunk, or put another into the token file",
	2:  "something on the way takes the header Authorization out: check proxies",
	3:  "something on the way changes the header Authorization: check proxies",
	4:  "Splunk does not know the token: compare the token file with Settings > Data inputs > HTTP Event Collector",
	5:  "something on the way takes the body out: check proxies",
	6:  badEvent,
	7:  "make the index, or allow it for the token; on a search head or forwarder, also where the indexers are",
	8:  "look into splunkd.log of the server",
	9:  "the server has no room: it needs more indexing capacity, or fewer senders",
	10: "something on the way takes the header X-Splunk-Request-Channel out: check proxies",
	11: "something on the way changes the header X-Splunk-Request-Channel: check proxies",
	12: badEvent,
	13: badEvent,
	14: "enable indexer acknowledgement for the token, or set sinks.splunk.ack to auto",
	15: badEvent,
	16: "something on the way moves the token into the URL: check proxies",
	17: "",
	18: "the server has no room: it needs more indexing capacity, or fewer senders",
	19: "look into splunkd.log of the server; without acknowledgement set sinks.splunk.ack to off",
	20: "the server has no room: it needs more indexing capacity, or fewer senders",
	21: "compare the token file with Settings > Data inputs > HTTP Event Collector",
	22: "enable the token in Splunk, or put another into the token file",
	23: "the server is stopping: try again when it has started",
	24: "the server is nearly full: it needs more indexing capacity, or fewer senders",
	25: "too many acknowledgements are pending: look whether the indexers are behind",
	26: "the server has no room: it needs more indexing capacity, or fewer senders",
	27: "too many acknowledgements are pending: look whether the indexers are behind",
}

// explainCode says in one line what an answer with a code means, and what to do.
func explainCode(status, code int) string {
	if code < 0 || code >= len(codeAdvice) {
		return fmt.Sprintf("status %d, code %d, which Splunk does not have: %s", status, code, adviseStatus(status))
	}
	text := fmt.Sprintf("status %d, code %d, %s", status, code, hec.CodeText(code))
	if codeAdvice[code] != "" {
		text += ": " + codeAdvice[code]
	}
	return text
}

// adviseStatus says what to do about an answer without a code.
func adviseStatus(status int) string {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the token is refused, which Splunk says with a code and other receivers do not, or something on the way wants a login: check the token file, and proxies"
	case status == http.StatusNotFound:
		return "this is not the port of the HTTP Event Collector, or the collector is off"
	case status == http.StatusRequestEntityTooLarge:
		return "something on the way takes less than 1,000,000 bytes at once: raise its limit"
	case status >= 300 && status < 400:
		return "it points elsewhere, and redirects are not followed: write the URL it points to"
	case status >= 500:
		return "what is before Splunk cannot reach it: check the balancer and its targets"
	}
	return "this is not the HTTP Event Collector, or something on the way cuts its answers short: check the port and what is between"
}

// explain says why an event was not taken, and what to do.
func explain(o *hec.Outcome) error {
	why := strings.TrimPrefix(o.Err.Error(), "hec "+o.Endpoint+": ")
	switch {
	case o.HTTP == http.StatusOK && o.Class == hec.HoldConfig: // taken, and not acknowledged
	case o.Code >= 0:
		why = explainCode(o.HTTP, o.Code)
	case o.HTTP != 0:
		why = fmt.Sprintf("status %d without a code: %s", o.HTTP, adviseStatus(o.HTTP))
	case errors.Is(o.Err, context.Canceled):
	case o.Class == hec.HoldConfig:
		why += "; check sinks.splunk.ca_file and server_name"
	default:
		why += "; no answer came: check the server and its load, and whether something on the way ends connections"
	}
	return errors.New(why)
}
