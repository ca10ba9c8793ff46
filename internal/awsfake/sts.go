package awsfake

import (
	"net/http"
	"strings"
	"time"
)

type getCallerIdentityIn struct{}

type getCallerIdentityOut struct {
	ARN     string `xml:"Arn"`
	UserID  string `xml:"UserId"`
	Account string `xml:"Account"`
}

// getCallerIdentity says a role and its session by the session token, which is
// both, and a user for lasting credentials.
func getCallerIdentity(c *call, _ *getCallerIdentityIn) (any, error) {
	if c.token != "" {
		_, session, _ := strings.Cut(c.token, "/")
		return getCallerIdentityOut{"arn:aws:sts::" + c.account + ":assumed-role/" + c.token, "AROA" + c.account + ":" + session, c.account}, nil
	}
	return getCallerIdentityOut{"arn:aws:iam::" + c.account + ":user/test", "AIDA" + c.account, c.account}, nil
}

type assumeRoleIn struct {
	RoleARN         string `query:"RoleArn,required"`
	RoleSessionName string `query:",required"`
	ExternalID      string `query:"ExternalId"`
	DurationSeconds int
}

type assumeRoleOut struct {
	Credentials credentials `xml:"Credentials"`
	User        assumedUser `xml:"AssumedRoleUser"`
}

type credentials struct {
	Key     string    `xml:"AccessKeyId"`
	Secret  string    `xml:"SecretAccessKey"`
	Token   string    `xml:"SessionToken"`
	Expires time.Time `xml:"Expiration"`
}

type assumedUser struct {
	ID  string `xml:"AssumedRoleId"`
	ARN string `xml:"Arn"`
}

// assumeRole gives credentials of the role's account.
func assumeRole(c *call, in *assumeRoleIn) (any, error) {
	// arn:aws:iam::ACCOUNT:role/NAME
	parts := strings.SplitN(in.RoleARN, ":", 6)
	denied := &Error{"AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: " + in.RoleARN, http.StatusForbidden}
	if len(parts) != 6 || c.state.Accounts[parts[4]] == nil {
		return nil, denied
	}
	account := parts[4]
	role, ok := c.state.Accounts[account].Roles[in.RoleARN]
	if !ok || role.ExternalID != "" && role.ExternalID != in.ExternalID {
		return nil, denied
	}
	name := in.RoleARN[strings.LastIndexByte(in.RoleARN, '/')+1:]
	return assumeRoleOut{
		c.lend(account, name+"/"+in.RoleSessionName, in.DurationSeconds),
		assumedUser{"AROA" + account + ":" + in.RoleSessionName, "arn:aws:sts::" + account + ":assumed-role/" + name + "/" + in.RoleSessionName},
	}, nil
}

// lend returns credentials of an account for some seconds, 0 for an hour. What
// lapsed is answered all the same, but for a fault of Kind Expired.
func (f *Fake) lend(account, token string, seconds int) credentials {
	if seconds == 0 {
		seconds = 3600
	}
	return credentials{"ASIA" + account, "secret", token, f.now().UTC().Add(time.Duration(seconds) * time.Second).Truncate(time.Second)}
}
