// Package cloud is AWS as a mirror.Cloud: it looks for what can be mirrored and for
// what is, in one account and region, and makes, changes and deletes mirror
// sessions there.
//
// A look is made of lists that depend on each other, one call after the other. It
// gives all of it or an error, never a part. EC2 is late: an interface that it does
// not list yet is known by what its task says of it.
//
//	sessions, targets ─────────────────┐
//	clusters ─> tasks to run ─> tasks ─┴─> interfaces of tasks and targets ─> State
//	(instances ─> interfaces in use: only if rules may want them)
//
// So many calls does a look make, in one cluster with one target that is an
// interface, a first one more for the account's number:
//
//	tasks   sessions targets clusters lists descriptions interfaces   in all
//	   10          1       1        1     1            1          1        6
//	  100          1       1        1     1            1          1        6
//	1,000          1       1        1    10           10          6       29
//
// Tasks that sessions name and no list has are described too, so that neither a list
// that is late ends a session nor one that leaves out what is to stop: a task is
// mirrored until its interface goes. For hints of up to 100 tasks of a cluster it
// makes 4. A further cluster costs a list at least; with Config.Instances there are
// two calls more, and two for each thousand of interfaces or instances.
//
// A Cloud keeps the account's number, and what two clients of awsapi do: some 200 KiB.
// A State, some 1 KB a task, is its caller's. Methods may be called from any
// goroutine. It decides nothing: what is wanted is a matter of package mirror.
package cloud
