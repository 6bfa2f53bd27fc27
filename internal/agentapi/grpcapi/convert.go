package grpcapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/agentapi/grpcapi/agentpb"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// text is a string as protobuf takes it, which refuses a whole message for one
// byte that is not UTF-8: what a tool has printed must not cut a link.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(in []string) []string {
	if in == nil {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = text(s)
	}
	return out
}

func toTemplate(t *tmpl.Template) []byte {
	if t.Len() == 0 {
		return nil
	}
	return t.AppendStored(nil)
}

func fromTemplate(data []byte) (*tmpl.Template, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var t tmpl.Template
	if err := t.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return &t, nil
}

// list converts each element.
func list[A, B any](in []A, f func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

func toStepID(s agentapi.StepID) *agentpb.StepID {
	return &agentpb.StepID{
		Epoch: s.Epoch, Subject: text(string(s.Subject)), Id: int64(s.ID), Seq: int64(s.Seq), State: int64(s.State), Attempt: int64(s.Attempt),
	}
}

func fromStepID(p *agentpb.StepID) agentapi.StepID {
	return agentapi.StepID{
		Epoch: p.GetEpoch(), Subject: agentapi.Subject(p.GetSubject()),
		ID: int(p.GetId()), Seq: int(p.GetSeq()), State: int(p.GetState()), Attempt: int(p.GetAttempt()),
	}
}

func toStep(s agentapi.Step) *agentpb.Step {
	return &agentpb.Step{
		Id: toStepID(s.StepID), Op: text(string(s.Op)), TimeoutMs: s.Timeout, Machine: toMachine(s.Machine), Image: toImage(s.Image),
		Nic: toPairs(s.NIC), Snapshot: toSnapshot(s.Snapshot), Disk: toPairs(s.Disk), Peer: text(s.Peer),
	}
}

func toSnapshot(s *agentapi.Snapshot) *agentpb.Snapshot {
	if s == nil {
		return nil
	}
	return &agentpb.Snapshot{Name: text(s.Name), Disk: int64(s.Disk), Begun: s.Begun, Live: s.Live}
}

func fromSnapshot(p *agentpb.Snapshot) *agentapi.Snapshot {
	if p == nil {
		return nil
	}
	return &agentapi.Snapshot{Name: p.GetName(), Disk: int(p.GetDisk()), Begun: p.GetBegun(), Live: p.GetLive()}
}

func fromStep(p *agentpb.Step) (agentapi.Step, error) {
	m, err := fromMachine(p.GetMachine())
	if err != nil {
		return agentapi.Step{}, fmt.Errorf("step %s: %w", fromStepID(p.GetId()), err)
	}
	return agentapi.Step{
		StepID: fromStepID(p.GetId()), Op: agentapi.Op(p.GetOp()), Timeout: p.GetTimeoutMs(), Machine: m, Image: fromImage(p.GetImage()),
		NIC: fromPairs(p.GetNic()), Snapshot: fromSnapshot(p.GetSnapshot()), Disk: fromPairs(p.GetDisk()), Peer: p.GetPeer(),
	}, nil
}

func toMachine(m *agentapi.Machine) *agentpb.Machine {
	if m == nil {
		return nil
	}
	return &agentpb.Machine{
		Id: int64(m.ID), Domain: text(m.Domain), Title: text(m.Title), DeployId: text(m.DeployID),
		Uname: text(m.UName), Gname: text(m.GName), Uid: int64(m.UID), Gid: int64(m.GID), Stime: m.STime,
		SystemDs: int64(m.SystemDS), Template: toTemplate(m.Template), Kernel: text(m.Kernel), Initrd: text(m.Initrd),
		Context: toContext(m.Context), VmMad: text(m.VMMad),
	}
}

func fromMachine(p *agentpb.Machine) (*agentapi.Machine, error) {
	if p == nil {
		return nil, nil
	}
	t, err := fromTemplate(p.Template)
	if err != nil {
		return nil, fmt.Errorf("template of the machine: %w", err)
	}
	return &agentapi.Machine{
		ID: int(p.Id), Domain: p.Domain, Title: p.Title, DeployID: p.DeployId, UName: p.Uname, GName: p.Gname,
		UID: int(p.Uid), GID: int(p.Gid), STime: p.Stime, SystemDS: int(p.SystemDs), Template: t,
		Kernel: p.Kernel, Initrd: p.Initrd, Context: fromContext(p.Context), VMMad: p.VmMad,
	}, nil
}

func toContext(c *agentapi.Context) *agentpb.Context {
	if c == nil {
		return nil
	}
	return &agentpb.Context{
		DiskId: int64(c.DiskID), Target: text(c.Target), Token: text(c.Token), Time: c.Time,
		Vars: toPairs(c.Vars),
		Files: list(c.Files, func(f agentapi.ContextFile) *agentpb.ContextFile {
			return &agentpb.ContextFile{Name: text(f.Name), Path: text(f.Path)}
		}),
	}
}

func fromContext(p *agentpb.Context) *agentapi.Context {
	if p == nil {
		return nil
	}
	return &agentapi.Context{
		DiskID: int(p.DiskId), Target: p.Target, Token: p.Token, Time: p.Time, Vars: fromPairs(p.Vars),
		Files: list(p.Files, func(f *agentpb.ContextFile) agentapi.ContextFile {
			return agentapi.ContextFile{Name: f.GetName(), Path: f.GetPath()}
		}),
	}
}

func toPairs(v tmpl.Vector) []*agentpb.Pair {
	return list(v, func(p tmpl.Pair) *agentpb.Pair { return &agentpb.Pair{Name: text(p.Name), Value: text(p.Value)} })
}

func fromPairs(in []*agentpb.Pair) tmpl.Vector {
	if len(in) == 0 {
		return nil
	}
	pairs := make([]string, 0, 2*len(in))
	for _, p := range in {
		pairs = append(pairs, p.GetName(), p.GetValue())
	}
	return tmpl.Vec("", pairs...).Vector
}

func toImage(s *agentapi.ImageSpec) *agentpb.ImageSpec {
	if s == nil {
		return nil
	}
	return &agentpb.ImageSpec{
		Id: int64(s.ID), DatastoreId: int64(s.DatastoreID), Path: text(s.Path), Source: text(s.Source), Format: text(s.Format),
		Fs: text(s.FS), SizeMb: s.SizeMB, SafeDirs: texts(s.SafeDirs), RestrictedDirs: texts(s.RestrictedDirs),
		Cdrom: s.CDROM, LimitMb: s.LimitMB, Md5: text(s.MD5), Sha1: text(s.SHA1),
	}
}

func fromImage(p *agentpb.ImageSpec) *agentapi.ImageSpec {
	if p == nil {
		return nil
	}
	return &agentapi.ImageSpec{
		ID: int(p.Id), DatastoreID: int(p.DatastoreId), Path: p.Path, Source: p.Source, Format: p.Format, FS: p.Fs,
		SizeMB: p.SizeMb, SafeDirs: p.SafeDirs, RestrictedDirs: p.RestrictedDirs, CDROM: p.Cdrom, LimitMB: p.LimitMb,
		MD5: p.Md5, SHA1: p.Sha1,
	}
}

func toResult(r agentapi.Result) *agentpb.Result {
	return &agentpb.Result{
		Id: toStepID(r.StepID), Error: text(r.Error), DeployId: text(r.DeployID), Source: text(r.Source), Format: text(r.Format), SizeMb: r.SizeMB,
	}
}

func fromResult(p *agentpb.Result) agentapi.Result {
	return agentapi.Result{
		StepID: fromStepID(p.GetId()), Error: p.GetError(), DeployID: p.GetDeployId(),
		Source: p.GetSource(), Format: p.GetFormat(), SizeMB: p.GetSizeMb(),
	}
}

func toEvent(e agentapi.Event) *agentpb.Event {
	return &agentpb.Event{Vm: int64(e.VM), Domain: text(e.Domain), DeployId: text(e.DeployID), State: text(string(e.State))}
}

func fromEvent(p *agentpb.Event) agentapi.Event {
	return agentapi.Event{VM: int(p.GetVm()), Domain: p.GetDomain(), DeployID: p.GetDeployId(), State: agentapi.DomainState(p.GetState())}
}

func toSpace(d agentapi.DatastoreSpace) *agentpb.DatastoreSpace {
	return &agentpb.DatastoreSpace{Id: int64(d.ID), TotalMb: d.TotalMB, UsedMb: d.UsedMB, FreeMb: d.FreeMB}
}

func fromSpace(p *agentpb.DatastoreSpace) agentapi.DatastoreSpace {
	return agentapi.DatastoreSpace{ID: int(p.GetId()), TotalMB: p.GetTotalMb(), UsedMB: p.GetUsedMb(), FreeMB: p.GetFreeMb()}
}

func toFacts(f agentapi.Facts) *agentpb.Facts {
	return &agentpb.Facts{
		Hostname: text(f.Hostname), Hypervisor: text(f.Hypervisor), Cpu: f.CPU, MemoryKb: f.MemoryKB,
		Template: toTemplate(f.Template), Datastores: list(f.Datastores, toSpace),
	}
}

func fromFacts(p *agentpb.Facts) (agentapi.Facts, error) {
	t, err := fromTemplate(p.GetTemplate())
	if err != nil {
		return agentapi.Facts{}, fmt.Errorf("facts: %w", err)
	}
	return agentapi.Facts{
		Hostname: p.GetHostname(), Hypervisor: p.GetHypervisor(), CPU: p.GetCpu(), MemoryKB: p.GetMemoryKb(),
		Template: t, Datastores: list(p.GetDatastores(), fromSpace),
	}, nil
}

func toHostSample(h agentapi.HostSample) *agentpb.HostSample {
	return &agentpb.HostSample{
		Time: h.Time, UsedCpu: h.UsedCPU, FreeCpu: h.FreeCPU, UsedMemory: h.UsedMemory, FreeMemory: h.FreeMemory,
		NetRx: h.NetRX, NetTx: h.NetTX, Datastores: list(h.Datastores, toSpace),
	}
}

func fromHostSample(p *agentpb.HostSample) agentapi.HostSample {
	return agentapi.HostSample{
		Time: p.GetTime(), UsedCPU: p.GetUsedCpu(), FreeCPU: p.GetFreeCpu(), UsedMemory: p.GetUsedMemory(),
		FreeMemory: p.GetFreeMemory(), NetRX: p.GetNetRx(), NetTX: p.GetNetTx(), Datastores: list(p.GetDatastores(), fromSpace),
	}
}

func toVMSample(v agentapi.VMSample) *agentpb.VMSample {
	return &agentpb.VMSample{Vm: int64(v.VM), Time: v.Time, Data: toTemplate(v.Data)}
}

func fromVMSamples(in []*agentpb.VMSample) ([]agentapi.VMSample, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]agentapi.VMSample, len(in))
	for i, p := range in {
		data, err := fromTemplate(p.GetData())
		if err != nil {
			return nil, fmt.Errorf("sample of VM %d: %w", p.GetVm(), err)
		}
		out[i] = agentapi.VMSample{VM: int(p.GetVm()), Time: p.GetTime(), Data: data}
	}
	return out, nil
}

// errMessage is the end of a link on which something came that is not expected
// there, as from a release that is too new.
var errMessage = errors.New("message of an unknown kind")
