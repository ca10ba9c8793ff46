package awsfake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// metadataToken is the one token there is; it does not lapse.
const metadataToken = "metadata-token"

// metadataRole is the role whose credentials the instance has.
const metadataRole = "periscope"

// metadata answers as instance metadata does, version 2 only.
func (f *Fake) metadata(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.calls[Metadata]++
	self := f.state.Self
	fault, faulty := f.fault(Metadata, self.Account, self.Region)
	var text string
	var found bool
	if !faulty || fault.Kind == Broken {
		text, found = f.item(strings.TrimPrefix(r.URL.Path, "/latest/"))
	}
	f.mu.Unlock()

	out := []byte(text)
	if faulty && misbehave(r, fault.Kind, &out) {
		return
	}
	const header = "X-Aws-Ec2-Metadata-Token"
	status := http.StatusOK
	switch e := fault.error(ec2); {
	case faulty && e != nil:
		status = e.Status
	case r.URL.Path == "/latest/api/token":
		if r.Method != http.MethodPut || r.Header.Get(header+"-Ttl-Seconds") == "" {
			status = http.StatusBadRequest
		}
		w.Header().Set(header+"-Ttl-Seconds", r.Header.Get(header+"-Ttl-Seconds"))
	case r.Method != http.MethodGet:
		status = http.StatusMethodNotAllowed
	case r.Header.Get(header) != metadataToken:
		status = http.StatusUnauthorized
	case !found:
		status = http.StatusNotFound
	}
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(out) // the client may have left
}

// item returns what is at a path below latest: a text, or the names of what is
// below it. Without an instance there is only the token.
func (f *Fake) item(path string) (string, bool) {
	if path == "api/token" {
		return metadataToken, true
	}
	items := f.items()
	if text, ok := items[path]; ok {
		return text, true
	}
	var names []string
	below := strings.TrimSuffix(path, "/") + "/"
	for item := range items {
		if rest, ok := strings.CutPrefix(item, below); ok {
			name, _, deeper := strings.Cut(rest, "/")
			if deeper && !strings.HasPrefix(below, "meta-data/iam/") {
				name += "/"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n"), names != nil
}

// items returns all there is of the instance, by path.
func (f *Fake) items() map[string]string {
	self := f.state.Self
	here := &Region{}
	if a := f.state.Accounts[self.Account]; a != nil && a.Regions[self.Region] != nil {
		here = a.Regions[self.Region]
	}
	instance := here.Instances[self.Instance]
	if instance == nil {
		return nil
	}
	lent := f.lend(self.Account, metadataRole+"/"+instance.ID, 6*3600)
	items := map[string]string{
		"dynamic/instance-identity/document": document(map[string]string{
			"accountId": self.Account, "region": self.Region, "instanceId": instance.ID, "instanceType": instance.Type,
			"availabilityZone": instance.Zone, "privateIp": instance.Address, "version": "2017-09-30",
			"architecture": "x86_64", "imageId": "ami-0123456789abcdef0", "pendingTime": instance.Launched.Format(time.RFC3339),
		}),
		"meta-data/instance-id":                 instance.ID,
		"meta-data/instance-type":               instance.Type,
		"meta-data/local-ipv4":                  instance.Address,
		"meta-data/placement/region":            self.Region,
		"meta-data/placement/availability-zone": instance.Zone,
		"meta-data/iam/security-credentials/" + metadataRole: document(map[string]string{
			"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": f.now().UTC().Format(time.RFC3339),
			"AccessKeyId": lent.Key, "SecretAccessKey": lent.Secret, "Token": lent.Token, "Expiration": lent.Expires.Format(time.RFC3339),
		}),
	}
	if s := here.Subnets[instance.SubnetID]; s != nil {
		items["meta-data/placement/availability-zone-id"] = s.ZoneID
	}
	for _, i := range here.Interfaces {
		if i.Attachment == nil || i.Attachment.InstanceID != instance.ID {
			continue
		}
		if i.Attachment.Device == 0 {
			items["meta-data/mac"] = i.MAC
		}
		for name, text := range here.card(i) {
			items["meta-data/network/interfaces/macs/"+i.MAC+"/"+name] = text
		}
	}
	return items
}

// card returns what metadata has of an interface.
func (r *Region) card(i *Interface) map[string]string {
	items := map[string]string{
		"interface-id":  i.ID,
		"mac":           i.MAC,
		"device-number": strconv.Itoa(int(i.Attachment.Device)),
		"owner-id":      i.OwnerID,
		"subnet-id":     i.SubnetID,
		"vpc-id":        i.VPCID,
	}
	var addresses []string
	for _, a := range i.Addresses {
		addresses = append(addresses, a.Address)
	}
	items["local-ipv4s"] = strings.Join(addresses, "\n")
	addresses = nil
	for _, a := range i.IPv6 {
		addresses = append(addresses, a.Address)
	}
	if addresses != nil {
		items["ipv6s"] = strings.Join(addresses, "\n")
	}
	if s := r.Subnets[i.SubnetID]; s != nil {
		items["subnet-ipv4-cidr-block"] = s.CIDR
	}
	if v := r.VPCs[i.VPCID]; v != nil {
		items["vpc-ipv4-cidr-block"] = v.CIDR
		var blocks []string
		for _, a := range v.CIDRs {
			blocks = append(blocks, a.CIDR)
		}
		items["vpc-ipv4-cidr-blocks"] = strings.Join(blocks, "\n")
	}
	return items
}

func document(values map[string]string) string {
	text, _ := json.MarshalIndent(values, "", "  ") // strings do not fail
	return string(text)
}
