package gaterelay

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// table is the name of our table of the family bridge; nothing else is touched.
const table = "trifid_gate"

// rules is what nft is given: whatever comes into a bridge by another port than a
// door and claims to be the gate is dropped, and so is what would go to the gate
// by another port. It holds for all bridges of the host: not every kernel can tell
// in a rule which bridge a frame is in.
func rules() string {
	host, _, _ := strings.Cut(Address, ":")
	return strings.NewReplacer("TABLE", table, "CABLE", cablePrefix, "MAC", gateMAC.String(), "GATE", host).Replace(
		`add table bridge TABLE
delete table bridge TABLE
table bridge TABLE {
	chain in {
		type filter hook prerouting priority -300; policy accept;
		iifname "CABLE*" accept
		ether saddr MAC drop
		arp saddr ip GATE drop
		ip saddr GATE drop
	}
	chain out {
		type filter hook postrouting priority -300; policy accept;
		oifname "CABLE*" accept
		ether daddr MAC drop
		arp daddr ip GATE drop
		ip daddr GATE drop
	}
}
`)
}

// applyRules puts our rules in the place of those that are there.
func applyRules(ctx context.Context) error { return nft(ctx, rules()) }

// dropRules removes our rules, if they are there.
func dropRules(ctx context.Context) error {
	return nft(ctx, "add table bridge "+table+"\ndelete table bridge "+table+"\n")
}

// nft applies a text as a whole or not at all.
func nft(ctx context.Context, text string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rules that keep the gate's address: nft: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
