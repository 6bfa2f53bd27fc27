package one

// Action is what was done to a VM, as history records number it.
// Source: VM lifecycle reference §4.
type Action int

// The actions. ActionNone means the record was closed by nothing in particular.
const (
	ActionNone               Action = 0
	ActionMigrate            Action = 1
	ActionLiveMigrate        Action = 2
	ActionUndeploy           Action = 5
	ActionUndeployHard       Action = 6
	ActionHold               Action = 7
	ActionRelease            Action = 8
	ActionStop               Action = 9
	ActionSuspend            Action = 10
	ActionResume             Action = 11
	ActionDelete             Action = 13
	ActionDeleteRecreate     Action = 14
	ActionReboot             Action = 15
	ActionRebootHard         Action = 16
	ActionResched            Action = 17
	ActionUnresched          Action = 18
	ActionPoweroff           Action = 19
	ActionPoweroffHard       Action = 20
	ActionDiskAttach         Action = 21
	ActionDiskDetach         Action = 22
	ActionNICAttach          Action = 23
	ActionNICDetach          Action = 24
	ActionDiskSnapshotCreate Action = 25
	ActionDiskSnapshotDelete Action = 26
	ActionTerminate          Action = 27
	ActionTerminateHard      Action = 28
	ActionDiskResize         Action = 29
	ActionDeploy             Action = 30
	ActionChown              Action = 31
	ActionChmod              Action = 32
	ActionUpdateconf         Action = 33
	ActionRename             Action = 34
	ActionResize             Action = 35
	ActionUpdate             Action = 36
	ActionSnapshotCreate     Action = 37
	ActionSnapshotDelete     Action = 38
	ActionSnapshotRevert     Action = 39
	ActionDiskSaveas         Action = 40
	ActionDiskSnapshotRevert Action = 41
	ActionRecover            Action = 42
	ActionRetry              Action = 43
	ActionMonitor            Action = 44
	ActionDiskSnapshotRename Action = 45
	ActionAliasAttach        Action = 46
	ActionAliasDetach        Action = 47
	ActionPoweroffMigrate    Action = 48
	ActionPoweroffHardMig    Action = 49
	ActionBackup             Action = 50
	ActionNICUpdate          Action = 51
	ActionBackupCancel       Action = 52
	ActionSchedAdd           Action = 53
	ActionSchedUpdate        Action = 54
	ActionSchedDelete        Action = 55
	ActionSGAttach           Action = 56
	ActionSGDetach           Action = 57
	ActionPCIAttach          Action = 58
	ActionPCIDetach          Action = 59
)

var actionNames = [...]string{
	0: "none", 1: "migrate", 2: "live-migrate", 3: "shutdown", 4: "shutdown-hard", 5: "undeploy", 6: "undeploy-hard",
	7: "hold", 8: "release", 9: "stop", 10: "suspend", 11: "resume", 12: "boot", 13: "delete", 14: "delete-recreate",
	15: "reboot", 16: "reboot-hard", 17: "resched", 18: "unresched", 19: "poweroff", 20: "poweroff-hard",
	21: "disk-attach", 22: "disk-detach", 23: "nic-attach", 24: "nic-detach", 25: "disk-snapshot-create",
	26: "disk-snapshot-delete", 27: "terminate", 28: "terminate-hard", 29: "disk-resize", 30: "deploy", 31: "chown",
	32: "chmod", 33: "updateconf", 34: "rename", 35: "resize", 36: "update", 37: "snapshot-create",
	38: "snapshot-delete", 39: "snapshot-revert", 40: "disk-saveas", 41: "disk-snapshot-revert", 42: "recover",
	43: "retry", 44: "monitor", 45: "disk-snapshot-rename", 46: "alias-attach", 47: "alias-detach",
	48: "poweroff-migrate", 49: "poweroff-hard-migrate", 50: "backup", 51: "nic-update", 52: "backup-cancel",
	53: "sched-add", 54: "sched-update", 55: "sched-delete", 56: "sg-attach", 57: "sg-detach", 58: "pci-attach",
	59: "pci-detach",
}

// String returns the name: "terminate-hard", …
func (a Action) String() string {
	if a < 0 || int(a) >= len(actionNames) {
		return "none"
	}
	return actionNames[a]
}

// vmOperations gives for each operation keyword of VM_*_OPERATIONS its level in
// a stock configuration. Source: VM lifecycle reference §1.4.
var vmOperations = map[string]Right{
	"migrate": Admin, "delete": Admin, "recover": Admin, "retry": Admin, "deploy": Admin, "resched": Admin,
	"backup": Admin, "restore": Admin,
	"undeploy": Manage, "hold": Manage, "release": Manage, "stop": Manage, "suspend": Manage, "resume": Manage,
	"reboot": Manage, "poweroff": Manage, "disk-attach": Manage, "nic-attach": Manage, "disk-snapshot": Manage,
	"terminate": Manage, "disk-resize": Manage, "snapshot": Manage, "updateconf": Manage, "rename": Manage,
	"resize": Manage, "update": Manage, "disk-saveas": Manage, "sched-action": Manage, "sg-attach": Manage,
	"pci-attach": Manage, "exec": Manage, "vmgroup": Manage,
}

// VMOperation returns the stock level of an operation keyword, and whether the
// keyword exists.
func VMOperation(keyword string) (Right, bool) {
	r, ok := vmOperations[keyword]
	return r, ok
}
