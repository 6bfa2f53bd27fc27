package oneapi

import "slices"

// What has no objects yet: pools answer empty, so that clients that look through
// everything go on, the rest answers that it is not supported.

// marketMethods are those of one.market and one.marketapp. Source: XML-RPC
// reference §7.15 and §7.16.
func marketMethods() []method {
	const m, a = "one.market", "one.marketapp"
	return slices.Concat(
		absentShared(m, "MARKETPLACE", "info", "update", "rename", "delete", "chown", "chmod"),
		absentShared(a, "MARKETPLACEAPP", "info", "update", "rename", "delete", "chown", "chmod", "lock", "unlock"),
		absent(
			[3]string{m + ".allocate", "template t", "CREATE MARKETPLACE"}, [3]string{m + ".enable", "id i, enable b", "MANAGE MARKETPLACE"},
			[3]string{m + ".allocatedb", "xml s", "uid 0"}, [3]string{m + ".updatedb", "id i, xml s", "uid 0"},
			[3]string{a + ".allocate", "template t, market i", "CREATE MARKETPLACEAPP"}, [3]string{a + ".enable", "id i, enable b", "MANAGE MARKETPLACEAPP"},
			[3]string{a + ".allocatedb", "xml s", "uid 0"}, [3]string{a + ".updatedb", "id i, xml s", "uid 0"}, [3]string{a + ".dropdb", paramsID, "uid 0"},
		),
		[]method{
			emptyPool("one.marketpool.info", "", "MARKETPLACE_POOL"),
			emptyPool("one.marketapppool.info", paramsPool, "MARKETPLACEAPP_POOL"),
		},
	)
}

// vmGroupMethods are those of one.vmgroup. Source: XML-RPC reference §7.21.
func vmGroupMethods() []method {
	const p = "one.vmgroup"
	return slices.Concat(
		absentShared(p, "VMGROUP", "info", "update", "rename", "delete", "chown", "chmod", "lock", "unlock"),
		absent(
			[3]string{p + ".allocate", "template t", "CREATE VMGROUP"}, [3]string{p + ".roleadd", "id i, template t", "MANAGE VMGROUP"},
			[3]string{p + ".roledelete", "id i, role i", "MANAGE VMGROUP"}, [3]string{p + ".roleupdate", "id i, role i, template t", "MANAGE VMGROUP"},
		),
		[]method{emptyPool("one.vmgrouppool.info", paramsPool, "VM_GROUP_POOL")},
	)
}

// hookMethods are those of one.hook. Source: XML-RPC reference §7.20.
func hookMethods() []method {
	const p = "one.hook"
	return slices.Concat(
		absentShared(p, "HOOK", "info", "update", "rename", "delete", "lock", "unlock"),
		absent(
			[3]string{p + ".allocate", "template t", "CREATE HOOK"}, [3]string{p + ".retry", "id i, execution i", "MANAGE HOOK"},
		),
		[]method{
			emptyPool("one.hookpool.info", "", "HOOK_POOL"),
			emptyPool("one.hooklog.info", "t1 i, t2 i, hook i, rc i", "HOOKLOG"),
		},
	)
}

// backupJobMethods are those of one.backupjob. Source: XML-RPC reference §7.22.
func backupJobMethods() []method {
	const p, manage = "one.backupjob", "MANAGE BACKUPJOB"
	return slices.Concat(
		absentShared(p, "BACKUPJOB", "info", "update", "rename", "delete", "chown", "chmod", "lock", "unlock"),
		absent(
			[3]string{p + ".allocate", "template t", "CREATE BACKUPJOB"}, [3]string{p + ".backup", paramsID, manage},
			[3]string{p + ".cancel", paramsID, manage}, [3]string{p + ".retry", paramsID, manage},
			[3]string{p + ".priority", "id i, priority i", manage + " (ADMIN above 50)"},
			[3]string{p + ".schedadd", "id i, template t", manage}, [3]string{p + ".scheddelete", "id i, sched i", manage},
			[3]string{p + ".schedupdate", "id i, sched i, template t", manage},
		),
		[]method{emptyPool("one.backupjobpool.info", paramsPool, "BACKUPJOB_POOL")},
	)
}
