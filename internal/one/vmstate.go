package one

// VMState is the state of a VM; LCMState refines it while it is Active.
type VMState int

// VM states. Source: VM lifecycle reference §1.1.
const (
	VMInit           VMState = 0
	VMPending        VMState = 1
	VMHold           VMState = 2
	VMActive         VMState = 3
	VMStopped        VMState = 4
	VMSuspended      VMState = 5
	VMDone           VMState = 6
	VMPoweroff       VMState = 8
	VMUndeployed     VMState = 9
	VMCloning        VMState = 10
	VMCloningFailure VMState = 11
)

var vmStateNames = map[VMState][2]string{
	VMInit: {"INIT", "init"}, VMPending: {"PENDING", "pend"}, VMHold: {"HOLD", "hold"},
	VMActive: {"ACTIVE", "actv"}, VMStopped: {"STOPPED", "stop"}, VMSuspended: {"SUSPENDED", "susp"},
	VMDone: {"DONE", "done"}, 7: {"FAILED", "fail"}, VMPoweroff: {"POWEROFF", "poff"},
	VMUndeployed: {"UNDEPLOYED", "unde"}, VMCloning: {"CLONING", "clon"},
	VMCloningFailure: {"CLONING_FAILURE", "fail"},
}

// String returns the name: "PENDING", "ACTIVE", …
func (s VMState) String() string { return vmStateNames[s][0] }

// Short returns the four letters listings show.
func (s VMState) Short() string { return vmStateNames[s][1] }

// LCMState is the life-cycle-manager state of a VM, meaningful while it is Active.
type LCMState int

// LCM states. Source: VM lifecycle reference §1.2.
const (
	LCMInit                         LCMState = 0
	LCMProlog                       LCMState = 1
	LCMBoot                         LCMState = 2
	LCMRunning                      LCMState = 3
	LCMMigrate                      LCMState = 4
	LCMSaveStop                     LCMState = 5
	LCMSaveSuspend                  LCMState = 6
	LCMSaveMigrate                  LCMState = 7
	LCMPrologMigrate                LCMState = 8
	LCMPrologResume                 LCMState = 9
	LCMEpilogStop                   LCMState = 10
	LCMEpilog                       LCMState = 11
	LCMShutdown                     LCMState = 12
	LCMCleanupResubmit              LCMState = 15
	LCMUnknown                      LCMState = 16
	LCMHotplug                      LCMState = 17
	LCMShutdownPoweroff             LCMState = 18
	LCMBootUnknown                  LCMState = 19
	LCMBootPoweroff                 LCMState = 20
	LCMBootSuspended                LCMState = 21
	LCMBootStopped                  LCMState = 22
	LCMCleanupDelete                LCMState = 23
	LCMHotplugSnapshot              LCMState = 24
	LCMHotplugNIC                   LCMState = 25
	LCMHotplugSaveas                LCMState = 26
	LCMHotplugSaveasPoweroff        LCMState = 27
	LCMHotplugSaveasSuspended       LCMState = 28
	LCMShutdownUndeploy             LCMState = 29
	LCMEpilogUndeploy               LCMState = 30
	LCMPrologUndeploy               LCMState = 31
	LCMBootUndeploy                 LCMState = 32
	LCMHotplugPrologPoweroff        LCMState = 33
	LCMHotplugEpilogPoweroff        LCMState = 34
	LCMBootMigrate                  LCMState = 35
	LCMBootFailure                  LCMState = 36
	LCMBootMigrateFailure           LCMState = 37
	LCMPrologMigrateFailure         LCMState = 38
	LCMPrologFailure                LCMState = 39
	LCMEpilogFailure                LCMState = 40
	LCMEpilogStopFailure            LCMState = 41
	LCMEpilogUndeployFailure        LCMState = 42
	LCMPrologMigratePoweroff        LCMState = 43
	LCMPrologMigratePoweroffFailure LCMState = 44
	LCMPrologMigrateSuspend         LCMState = 45
	LCMPrologMigrateSuspendFailure  LCMState = 46
	LCMBootUndeployFailure          LCMState = 47
	LCMBootStoppedFailure           LCMState = 48
	LCMPrologResumeFailure          LCMState = 49
	LCMPrologUndeployFailure        LCMState = 50
	LCMDiskSnapshotPoweroff         LCMState = 51
	LCMDiskSnapshotRevertPoweroff   LCMState = 52
	LCMDiskSnapshotDeletePoweroff   LCMState = 53
	LCMDiskSnapshotSuspended        LCMState = 54
	LCMDiskSnapshotRevertSuspended  LCMState = 55
	LCMDiskSnapshotDeleteSuspended  LCMState = 56
	LCMDiskSnapshot                 LCMState = 57
	LCMDiskSnapshotRevert           LCMState = 58
	LCMDiskSnapshotDelete           LCMState = 59
	LCMPrologMigrateUnknown         LCMState = 60
	LCMPrologMigrateUnknownFailure  LCMState = 61
	LCMDiskResize                   LCMState = 62
	LCMDiskResizePoweroff           LCMState = 63
	LCMDiskResizeUndeployed         LCMState = 64
	LCMHotplugNICPoweroff           LCMState = 65
	LCMHotplugResize                LCMState = 66
	LCMHotplugSaveasUndeployed      LCMState = 67
	LCMHotplugSaveasStopped         LCMState = 68
	LCMBackup                       LCMState = 69
	LCMBackupPoweroff               LCMState = 70
)

// lcmNames holds name and listing letters by number. Source: the same table.
var lcmNames = [...][2]string{
	0: {"LCM_INIT", ""}, 1: {"PROLOG", "prol"}, 2: {"BOOT", "boot"}, 3: {"RUNNING", "runn"},
	4: {"MIGRATE", "migr"}, 5: {"SAVE_STOP", "save"}, 6: {"SAVE_SUSPEND", "save"}, 7: {"SAVE_MIGRATE", "save"},
	8: {"PROLOG_MIGRATE", "migr"}, 9: {"PROLOG_RESUME", "prol"}, 10: {"EPILOG_STOP", "epil"}, 11: {"EPILOG", "epil"},
	12: {"SHUTDOWN", "shut"}, 13: {"CANCEL", "shut"}, 14: {"FAILURE", "fail"}, 15: {"CLEANUP_RESUBMIT", "clea"},
	16: {"UNKNOWN", "unkn"}, 17: {"HOTPLUG", "hotp"}, 18: {"SHUTDOWN_POWEROFF", "shut"}, 19: {"BOOT_UNKNOWN", "boot"},
	20: {"BOOT_POWEROFF", "boot"}, 21: {"BOOT_SUSPENDED", "boot"}, 22: {"BOOT_STOPPED", "boot"}, 23: {"CLEANUP_DELETE", "clea"},
	24: {"HOTPLUG_SNAPSHOT", "snap"}, 25: {"HOTPLUG_NIC", "hotp"}, 26: {"HOTPLUG_SAVEAS", "hotp"},
	27: {"HOTPLUG_SAVEAS_POWEROFF", "hotp"}, 28: {"HOTPLUG_SAVEAS_SUSPENDED", "hotp"}, 29: {"SHUTDOWN_UNDEPLOY", "shut"},
	30: {"EPILOG_UNDEPLOY", "epil"}, 31: {"PROLOG_UNDEPLOY", "prol"}, 32: {"BOOT_UNDEPLOY", "boot"},
	33: {"HOTPLUG_PROLOG_POWEROFF", "hotp"}, 34: {"HOTPLUG_EPILOG_POWEROFF", "hotp"}, 35: {"BOOT_MIGRATE", "boot"},
	36: {"BOOT_FAILURE", "fail"}, 37: {"BOOT_MIGRATE_FAILURE", "fail"}, 38: {"PROLOG_MIGRATE_FAILURE", "fail"},
	39: {"PROLOG_FAILURE", "fail"}, 40: {"EPILOG_FAILURE", "fail"}, 41: {"EPILOG_STOP_FAILURE", "fail"},
	42: {"EPILOG_UNDEPLOY_FAILURE", "fail"}, 43: {"PROLOG_MIGRATE_POWEROFF", "migr"},
	44: {"PROLOG_MIGRATE_POWEROFF_FAILURE", "fail"}, 45: {"PROLOG_MIGRATE_SUSPEND", "migr"},
	46: {"PROLOG_MIGRATE_SUSPEND_FAILURE", "fail"}, 47: {"BOOT_UNDEPLOY_FAILURE", "fail"},
	48: {"BOOT_STOPPED_FAILURE", "fail"}, 49: {"PROLOG_RESUME_FAILURE", "fail"}, 50: {"PROLOG_UNDEPLOY_FAILURE", "fail"},
	51: {"DISK_SNAPSHOT_POWEROFF", "snap"}, 52: {"DISK_SNAPSHOT_REVERT_POWEROFF", "snap"},
	53: {"DISK_SNAPSHOT_DELETE_POWEROFF", "snap"}, 54: {"DISK_SNAPSHOT_SUSPENDED", "snap"},
	55: {"DISK_SNAPSHOT_REVERT_SUSPENDED", "snap"}, 56: {"DISK_SNAPSHOT_DELETE_SUSPENDED", "snap"},
	57: {"DISK_SNAPSHOT", "snap"}, 58: {"DISK_SNAPSHOT_REVERT", "snap"}, 59: {"DISK_SNAPSHOT_DELETE", "snap"},
	60: {"PROLOG_MIGRATE_UNKNOWN", "migr"}, 61: {"PROLOG_MIGRATE_UNKNOWN_FAILURE", "fail"}, 62: {"DISK_RESIZE", "drsz"},
	63: {"DISK_RESIZE_POWEROFF", "drsz"}, 64: {"DISK_RESIZE_UNDEPLOYED", "drsz"}, 65: {"HOTPLUG_NIC_POWEROFF", "hotp"},
	66: {"HOTPLUG_RESIZE", "hotp"}, 67: {"HOTPLUG_SAVEAS_UNDEPLOYED", "hotp"}, 68: {"HOTPLUG_SAVEAS_STOPPED", "hotp"},
	69: {"BACKUP", "back"}, 70: {"BACKUP_POWEROFF", "back"},
}

// String returns the name: "PROLOG", "RUNNING", …
func (s LCMState) String() string {
	if s < 0 || int(s) >= len(lcmNames) {
		return ""
	}
	return lcmNames[s][0]
}

// Short returns the four letters listings show.
func (s LCMState) Short() string {
	if s < 0 || int(s) >= len(lcmNames) {
		return ""
	}
	return lcmNames[s][1]
}

// Failed tells whether the state is one of the *_FAILURE states, which wait for
// recover or terminate.
func (s LCMState) Failed() bool {
	switch s {
	case LCMBootFailure, LCMBootMigrateFailure, LCMPrologMigrateFailure, LCMPrologFailure, LCMEpilogFailure,
		LCMEpilogStopFailure, LCMEpilogUndeployFailure, LCMPrologMigratePoweroffFailure,
		LCMPrologMigrateSuspendFailure, LCMBootUndeployFailure, LCMBootStoppedFailure,
		LCMPrologResumeFailure, LCMPrologUndeployFailure, LCMPrologMigrateUnknownFailure:
		return true
	}
	return false
}

// StateString is how messages name a VM's state: the LCM name while it is
// active, else the VM state name.
func StateString(s VMState, l LCMState) string {
	if s == VMActive {
		return l.String()
	}
	return s.String()
}
