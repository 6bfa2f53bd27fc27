package contextvars

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/trifid-cloud/trifid/internal/errs"
	"github.com/trifid-cloud/trifid/internal/tmpl"
)

// sampleVM has two NICs and an alias on three networks, and two disks.
func sampleVM() *VM {
	return &VM{
		ID: 18, UID: 2, GID: 100, Name: "web-18", UName: "ana", GName: "users",
		Template: tmpl.New(
			tmpl.Single("CPU", "0.5"), tmpl.Single("VMID", "18"), tmpl.Single("EMPTY", ""),
			tmpl.Vec("NIC", "NIC_ID", "0", "IP", "10.0.5.20", "MAC", "02:00:0a:00:05:14", "NETWORK", "private", "NETWORK_ID", "1", "AR_ID", "0"),
			tmpl.Vec("NIC", "NIC_ID", "1", "IP", "203.0.113.9", "MAC", "02:00:cb:00:71:09", "NETWORK", "public net", "NETWORK_ID", "2", "AR_ID", "3"),
			tmpl.Vec("NIC_ALIAS", "NIC_ID", "2", "PARENT_ID", "0", "ALIAS_ID", "0", "IP", "10.0.7.1", "NETWORK", "extra", "NETWORK_ID", "7", "AR_ID", "1"),
			tmpl.Vec("NIC_ALIAS", "NIC_ID", "3", "PARENT_ID", "0", "ALIAS_ID", "1", "IP", "10.0.5.77", "NETWORK", "private", "NETWORK_ID", "1", "AR_ID", "9"),
			tmpl.Vec("DISK", "IMAGE", "alpine", "IMAGE_ID", "4", "TARGET", "vda"),
			tmpl.Vec("DISK", "SIZE", "100", "TARGET", "vdb"),
			tmpl.Vec("GRAPHICS", "TYPE", "vnc", "PORT", "5918"),
		),
		UserTemplate: tmpl.New(tmpl.Single("EMPTY", "from the user"), tmpl.Single("APP", "shop")),
		Outside: Lookup{
			Network: func(network, ar int, name string) string {
				return map[string]string{
					"1/0/GATEWAY": "10.0.5.1", "1/9/GATEWAY": "10.0.5.99", "2/3/DNS": "192.0.2.53", "7/1/NETWORK_MASK": "255.255.0.0",
					"1/0/NETWORK_MASK": "255.255.255.0", "1/9/NETWORK_MASK": "255.255.255.0", "2/3/GATEWAY6": "2001:db8::1",
				}[fmt.Sprintf("%d/%d/%s", network, ar, name)]
			},
			Image: func(image int, name string) string {
				return map[string]string{"4/ROOT_DEVICE": "vda1"}[fmt.Sprintf("%d/%s", image, name)]
			},
			User: func(name string) string { return map[string]string{"SSH_PUBLIC_KEY": "ssh-ed25519 AAAA"}[name] },
			XML:  func(kind string, id int) string { return fmt.Sprintf("<%s>%d</%s>", kind, id, kind) },
		},
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestExpand(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"plain text, [a]=b":                      "plain text, [a]=b",
		"$NAME":                                  "web-18",
		"$name":                                  "web-18",
		"a $NAME!":                               "a web-18!",
		"$UID $UNAME $GID $GNAME":                "2 ana 100 users",
		"$UID$GID":                               "2100",
		"$UNAME$":                                "!", // an error
		"$NAME.example.org":                      "web-18.example.org",
		"$NAME\nnext":                            "web-18\nnext",
		"$VMID/$CPU":                             "18/0.5",
		"$APP":                                   "shop",
		"$EMPTY":                                 "from the user",
		"$UNKNOWN.":                              ".",
		"$NIC":                                   "", // a vector is no single value
		"$0":                                     "",
		"$TEMPLATE":                              b64("<VM>18</VM>"),
		"$NIC[IP]":                               "10.0.5.20",
		"$nic[ip]":                               "10.0.5.20",
		"$NIC[ IP ]":                             "10.0.5.20",
		"$NIC[IP, NETWORK=\"public net\"]":       "203.0.113.9",
		"$NIC[IP,NETWORK=private]":               "10.0.5.20",
		"$NIC[ IP\t,\tNIC_ID = \"1\" ] end":      "203.0.113.9 end",
		"$NIC[IP, NETWORK=\"none\"]":             "",
		"$NIC[NOTHING]":                          "",
		"$DISK[TARGET]$DISK[TARGET, SIZE=100]":   "vdavdb",
		"$GRAPHICS[PORT]":                        "5918",
		"$NETWORK[GATEWAY, NETWORK_ID=2]":        "",
		"$NETWORK[DNS, NETWORK=\"public net\"]":  "192.0.2.53",
		"$NETWORK[GATEWAY, NIC_ID=0]":            "10.0.5.1",
		"$NETWORK[GATEWAY, NETWORK=\"private\"]": "10.0.5.99", // the alias wins
		"$NETWORK[NETWORK_MASK, NIC_ID=2]":       "255.255.0.0",
		"$NETWORK[TEMPLATE, NETWORK_ID=7]":       b64("<NETWORK>7</NETWORK>"),
		"$NETWORK[DNS]":                          "",
		"$NETWORK[DNS, IP=\"10.0.5.20\"]":        "",
		"$NETWORK[DNS, NETWORK=\"foreign\"]":     "",
		"$IMAGE[ROOT_DEVICE, IMAGE=\"alpine\"]":  "vda1",
		"$IMAGE[ROOT_DEVICE, IMAGE_ID=4]":        "vda1",
		"$IMAGE[TEMPLATE, IMAGE_ID=4]":           b64("<IMAGE>4</IMAGE>"),
		"$IMAGE[ROOT_DEVICE, IMAGE_ID=5]":        "",
		"$IMAGE[ROOT_DEVICE, TARGET=vda]":        "",
		"$IMAGE[ROOT_DEVICE]":                    "",
		"$USER[SSH_PUBLIC_KEY]":                  "ssh-ed25519 AAAA",
		"$USER[TEMPLATE]":                        b64("<USER>2</USER>"),
		"$USER[NONE]":                            "",
		`price: 5\$ for $UNAME`:                  `price: 5\$ for ana`, // the backslash stays
		`a\\$UNAME`:                              `a\\ana`,
		`$UNAME\n`:                               `ana\n`,
		`back\slash\`:                            `back\slash\`,
		"$NIC[IP, NETWORK='private]":             "10.0.5.20",
		"$UNAMEö":                                "anaö",
	} {
		got, err := Expand(in, sampleVM())
		if want == "!" {
			if err == nil {
				t.Errorf("%q accepted: %q", in, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// Nothing outside to ask: references are empty, not a panic.
func TestExpandWithoutLookups(t *testing.T) {
	vm := sampleVM()
	vm.Outside = Lookup{}
	const in = "a$TEMPLATE b$NETWORK[GATEWAY, NIC_ID=0] c$NETWORK[TEMPLATE, NIC_ID=0] d$IMAGE[X, IMAGE_ID=4] e$USER[X] f$USER[TEMPLATE]"
	if got, err := Expand(in, vm); err != nil || got != "a b c d e f" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Expand("$NAME $NIC[IP]$X", &VM{}); err != nil || got != " " {
		t.Errorf("an empty VM: %q, %v", got, err)
	}
}

func TestExpandErrors(t *testing.T) {
	const start, later = "expecting VARIABLE or RSTRING", "expecting $end or VARIABLE or RSTRING"
	for in, want := range map[string]string{
		"$(date)":                    "unexpected EOA, " + start + " at line 0, columns 2:3",
		"a$(date)":                   "unexpected EOA, " + later + " at line 0, columns 3:4",
		"a${NAME}":                   "unexpected EOA, " + later + " at line 0, columns 3:4",
		"a$$":                        "unexpected EOA, " + later + " at line 0, columns 3:4",
		"a$":                         "unexpected EOA, " + later + " at line 0, columns 2:3",
		"a\nb\n$\"":                  "unexpected EOA, " + later + " at line 2, columns 6:7",
		"a$ NAME":                    "unexpected EOA, " + later + " at line 0, columns 3:4",
		"a$=":                        "unexpected EQUAL, " + later + " at line 0, columns 3:4",
		"$NAME=x":                    "unexpected EQUAL, expecting OBRACKET or EOA at line 0, columns 6:7",
		"$NAME , x":                  "unexpected COMMA, expecting OBRACKET or EOA at line 0, columns 6:9",
		"[ $NAME ]":                  "unexpected CBRACKET, expecting OBRACKET or EOA at line 0, columns 8:10",
		"$NIC[]":                     "unexpected CBRACKET, expecting VARIABLE at line 0, columns 6:7",
		"$NIC[IP":                    "unexpected EOA, expecting COMMA or CBRACKET at line 0, columns 6:8",
		"$NIC[IP]x":                  "unexpected VARIABLE, expecting EOA at line 0, columns 9:10",
		"$NIC[IP],$NIC[MAC]":         "unexpected COMMA, expecting EOA at line 0, columns 9:10",
		"$NIC[IP,]":                  "unexpected CBRACKET, expecting VARIABLE at line 0, columns 9:10",
		"$NIC[IP, A]":                "unexpected CBRACKET, expecting EQUAL at line 0, columns 11:12",
		"$NIC[IP, A=":                "unexpected $end, expecting STRING at line 0, columns 11:12",
		"$NIC[IP, A=\"b":             "unexpected EOA, expecting CBRACKET at line 0, columns 13:14",
		"$NIC[IP, A=my_net]":         "unexpected VARIABLE, expecting CBRACKET at line 0, columns 14:18",
		"$NIC[IP, A=\"b\", C=\"d\"]": "unexpected COMMA, expecting CBRACKET at line 0, columns 15:17",
	} {
		_, err := Expand(in, sampleVM())
		if err == nil {
			t.Errorf("%q accepted", in)
			continue
		}
		if got, want := err.Error(), "Error parsing: "+in+". syntax error, "+want; got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
		if errs.Text(err) != err.Error() {
			t.Errorf("%q: the user would not see the error", in)
		}
	}
}

func TestSubstitute(t *testing.T) {
	in := tmpl.Vec("CONTEXT",
		"FILES_DS", "$FILE[IMAGE=\"x\"]",
		"SSH_PUBLIC_KEY", "$USER[SSH_PUBLIC_KEY]",
		"SET_HOSTNAME", "$NAME",
		"A", "$UNAME", // the separator follows at once
		"B", "", "C", "c$UNKNOWN",
		"TOKEN", "YES", "START_SCRIPT", "#!/bin/sh\necho \\$HOME $NIC[IP]\n",
	).Vector
	want := tmpl.Vec("CONTEXT",
		"SSH_PUBLIC_KEY", "ssh-ed25519 AAAA", "SET_HOSTNAME", "web-18", "A", "ana", "B", "", "C", "c",
		"TOKEN", "YES", "START_SCRIPT", "#!/bin/sh\necho \\$HOME 10.0.5.20\n",
	).Vector
	if got, err := Substitute(in, sampleVM()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	if got, err := Substitute(nil, sampleVM()); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// A value of one variable must not become another variable.
func TestSubstituteIsolates(t *testing.T) {
	vm := sampleVM()
	vm.Name = "x" + separator + "TOKEN=NO"
	got, err := Substitute(tmpl.Vec("C", "A", "$NAME", "TOKEN", "YES").Vector, vm)
	if want := (tmpl.Vector{{Name: "A", Value: vm.Name}, {Name: "TOKEN", Value: "YES"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSubstituteErrors(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"positions count through the whole CONTEXT", []string{"A", "12345", "PASSWORD", secret + "$("},
			"Error parsing: CONTEXT/PASSWORD. syntax error, unexpected EOA, expecting $end or VARIABLE or RSTRING at line 0, columns 37:38"},
		{"at the end of a value the separator is hit", []string{"A", secret + "$", "B", ""},
			"Error parsing: CONTEXT/A. syntax error, unexpected EOA, expecting $end or VARIABLE or RSTRING at line 0, columns 18:19"},
		{"at the very end", []string{"A", "", "B", secret + "$"},
			"Error parsing: CONTEXT/B. syntax error, unexpected EOA, expecting $end or VARIABLE or RSTRING at line 0, columns 24:25"},
		{"an open quote", []string{"A", "$NIC[IP, NETWORK=\"" + secret, "B", "\"] x"},
			"Error parsing: CONTEXT. a variable's quote or bracket is not closed within its value"},
		{"too long", []string{"A", secret + strings.Repeat("$TEMPLATE", 100_000)},
			"Error parsing: CONTEXT. with its variables replaced it is longer than 1048576 bytes"},
		{"too long before", []string{"A", secret + strings.Repeat("a", MaxText)},
			"Error parsing: CONTEXT. with its variables replaced it is longer than 1048576 bytes"},
	} {
		_, err := Substitute(tmpl.Vec("C", c.in...).Vector, sampleVM())
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
}

func FuzzSubstitute(f *testing.F) {
	f.Add("A", "$NAME", "B", "$NIC[IP, NETWORK=\"private\"]")
	f.Add("START_SCRIPT", "echo \\$HOME $(date)", "X", "$NETWORK[GATEWAY, NIC_ID=0] $USER[SSH_PUBLIC_KEY]")
	f.Add("A", "$NIC[IP, A=\"", "B", "\"]$")
	f.Add("$NAME", "\\", "Z", "\\\\$UID\n$")
	vm := sampleVM()
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		in := tmpl.Vec("C", n1, v1, n2, v2).Vector
		got, err := Substitute(in, vm)
		in = in.Without("FILES_DS")
		if err != nil {
			for _, p := range in {
				if len(p.Value) > 40 && strings.Contains(err.Error(), p.Value) {
					t.Fatalf("the error shows a value: %v", err)
				}
			}
			return
		}
		if len(got) != len(in) {
			t.Fatalf("%d variables became %d", len(in), len(got))
		}
		for i, p := range in {
			if got[i].Name != p.Name {
				t.Fatalf("%q became %q", p.Name, got[i].Name)
			}
			if !strings.Contains(p.Value, "$") && got[i].Value != p.Value {
				t.Fatalf("%q became %q", p.Value, got[i].Value)
			}
			// What is accepted together is accepted alone, with the same result.
			alone, err := Expand(p.Value, vm)
			if err != nil || alone != got[i].Value {
				t.Fatalf("%q: %q in the CONTEXT, %q alone, %v", p.Value, got[i].Value, alone, err)
			}
		}
	})
}

func TestParseFiles(t *testing.T) {
	for in, want := range map[string][]FileRef{
		"":                             nil,
		" \n ":                         nil,
		"$FILE[IMAGE_ID=3]":            {{3, "", -1, ""}},
		"  $file[image_id=\"3\"]":      {{3, "", -1, ""}},
		"$FILE[IMAGE=\"init script\"]": {{-1, "init script", -1, ""}},
		"$FILE[IMAGE=\"a\", IMAGE_UNAME=\"ana\"]":     {{-1, "a", -1, "ana"}},
		"$FILE[IMAGE=\"a\", IMAGE_UID=5]":             {{-1, "a", 5, ""}},
		"$FILE[IMAGE=\"a\", IMAGE_UID=x]":             {{-1, "a", -1, ""}},
		"$FILE[IMAGE=\"a\", OTHER=x]":                 {{-1, "a", -1, ""}},
		"$FILE[IMAGE_ID=1, IMAGE_UID=5]":              {{1, "", -1, ""}},
		"$FILE[IMAGE_ID=1] $FILE[IMAGE=b]":            {{1, "", -1, ""}, {-1, "b", -1, ""}},
		"$FILE[IMAGE_ID=1]$FILE[IMAGE_ID=2]":          {{1, "", -1, ""}, {2, "", -1, ""}},
		"$FILE[IMAGE_ID=1]\n\t $FILE[IMAGE_ID=2]  \n": {{1, "", -1, ""}, {2, "", -1, ""}},
	} {
		if got, err := ParseFiles(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"$IMAGE[IMAGE_ID=3]":             "Must use FILE variable for attribute.",
		"$FILE[NAME=x]":                  "Cannot get image, set IMAGE_ID or IMAGE.",
		"$FILE[IMAGE_ID=x]":              "Image with ID: x does not exist",
		"$FILE[IMAGE_ID=\"-1\"]":         "Image with ID: -1 does not exist",
		"init.sh":                        "syntax error, unexpected RSTRING, expecting VARIABLE at line 0, columns 1:8",
		"$FILE":                          "syntax error, unexpected EOA, expecting OBRACKET at line 0, columns 2:6",
		"$FILE[IMAGE_ID]":                "syntax error, unexpected CBRACKET, expecting EQUAL at line 0, columns 15:16",
		"$FILE[IMAGE_ID=1] x":            "syntax error, unexpected RSTRING, expecting $end or VARIABLE at line 0, columns 19:20",
		"$FILE[IMAGE_ID=1, A=2, B]":      "syntax error, unexpected COMMA, expecting CBRACKET at line 0, columns 22:24",
		"$FILE[IMAGE=\"a\" IMAGE_UID=1]": "syntax error, unexpected EOA, expecting COMMA or CBRACKET at line 0, columns 16:17",
	} {
		if got, err := ParseFiles(in); err == nil || err.Error() != "Error parsing: "+in+". "+want {
			t.Errorf("%q: %+v,\n got %v\nwant …%s", in, got, err, want)
		}
	}
	if _, err := ParseFiles(strings.Repeat("$FILE[IMAGE_ID=1] ", maxFiles+1)); err == nil {
		t.Error("too many files accepted")
	}
	if _, err := ParseFiles(strings.Repeat("$", MaxText+1)); err == nil || len(err.Error()) > 2000 {
		t.Error("a huge text accepted, or shown")
	}
}

func FuzzParseFiles(f *testing.F) {
	f.Add("$FILE[IMAGE_ID=3] $FILE[IMAGE=\"a b\", IMAGE_UNAME=\"u\"]")
	f.Add("$FILE[IMAGE=x")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseFiles(in)
		for _, r := range got {
			if err == nil && r.ID < 0 == (r.Name == "") && !strings.Contains(in, `""`) {
				t.Fatalf("%q: neither or both of id and name: %+v", in, r)
			}
		}
	})
}

func TestStoreFiles(t *testing.T) {
	a := FileImage{ID: 1, Name: "init script", Source: "/var/lib/one//datastores/2/abc", Context: true, Ready: true}
	b := FileImage{ID: 2, Name: "b.sh", Source: "rbd:pool/one-2", Context: true, Ready: true}
	if got, err := StoreFiles([]FileImage{a, b}); err != nil || got != "/var/lib/one//datastores/2/abc:'init script' rbd:pool/one-2:'b.sh' " {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := StoreFiles(nil); err != nil || got != "" {
		t.Errorf("none: %q, %v", got, err)
	}
	b.Ready = false
	if _, err := StoreFiles([]FileImage{a, b}); err == nil || err.Error() != "CONTEXT Image '2' not in READY state." {
		t.Error(err)
	}
	b.Context = false
	if _, err := StoreFiles([]FileImage{a, b}); err == nil || err.Error() != "Only images of type CONTEXT can be used in FILE_DS attribute." {
		t.Error(err)
	}
}
