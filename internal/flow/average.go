package flow

import (
	"strconv"
	"strings"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/flow/reconcile"
	"github.com/trifid-cloud/trifid/internal/one"
	"github.com/trifid-cloud/trifid/internal/store"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// average returns the mean of an attribute over the running VMs of a role that
// have it. Source: OneFlow reference §4.3.
func (f *Flow) average(st *store.State, machines []reconcile.Machine, role, attribute string) (float64, bool) {
	sum, n := 0.0, 0
	for _, m := range machines {
		if m.Role != role || !m.Running() {
			continue
		}
		v, ok := st.VMs.Get(m.ID)
		if !ok {
			continue
		}
		if x, ok := number(v, attribute, f.sample(m.ID)); ok {
			sum += x
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// sample returns the newest measurement of a VM, empty when there is none.
func (f *Flow) sample(vm int) agentapi.VMSample {
	if f.monitor == nil {
		return agentapi.VMSample{}
	}
	s, _ := f.monitor.VM(vm)
	return s
}

// number returns an attribute of a VM as a number: the first found in the user
// template, the measurements, the template and the VM itself. Vectors and
// repeated attributes are none; text is its leading number.
func number(v *one.VM, name string, sample agentapi.VMSample) (float64, bool) {
	for _, t := range []*tmpl.Template{v.UserTemplate, sample.Data, v.Template} {
		switch as := t.Named(name); {
		case len(as) == 1 && !as[0].IsVector():
			return leading(as[0].Value), true
		case len(as) > 0:
			return 0, false
		}
	}
	switch name {
	case "ID":
		return float64(v.ID), true
	case "UID":
		return float64(v.UID), true
	case "GID":
		return float64(v.GID), true
	case "LAST_POLL":
		return float64(sample.Time), true
	case "STATE", "PREV_STATE":
		return float64(v.State), true
	case "LCM_STATE", "PREV_LCM_STATE":
		return float64(v.LCM), true
	case "RESCHED":
		if v.Resched {
			return 1, true
		}
		return 0, true
	case "STIME":
		return float64(v.STime), true
	case "ETIME":
		return float64(v.ETime), true
	case "NAME", "UNAME", "GNAME", "DEPLOY_ID":
		return leading(map[string]string{"NAME": v.Name, "UNAME": v.UName, "GNAME": v.GName, "DEPLOY_ID": v.DeployID}[name]), true
	}
	return 0, false
}

// leading returns the number that a text begins with, 0 if it begins with none.
func leading(s string) float64 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end, dot, exp := 0, false, false
	for ; end < len(s); end++ {
		switch c := s[end]; {
		case c >= '0' && c <= '9':
		case (c == '+' || c == '-') && (end == 0 || s[end-1]|0x20 == 'e'):
		case c == '.' && !dot && !exp:
			dot = true
		case c|0x20 == 'e' && !exp && end > 0:
			exp = true
		default:
			return longestNumber(s[:end])
		}
	}
	return longestNumber(s[:end])
}

// longestNumber drops what is too much at the end: "1e", "5.".
func longestNumber(s string) float64 {
	for ; s != ""; s = s[:len(s)-1] {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	return 0
}
