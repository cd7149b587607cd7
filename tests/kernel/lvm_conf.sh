# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# shellcheck shell=sh
# For scripts inside the user-mode kernel.

# An lvm.conf of their own, in $LVM_SYSTEM_DIR, as a rescue system has one. $1: the
# devices, for a filter.
lvm_conf() {
	mkdir -p "$LVM_SYSTEM_DIR" /run/lock/lvm
	cat >"$LVM_SYSTEM_DIR/lvm.conf" <<-END
		devices { dir="/dev" scan=["/dev"] types=["ubd",16] obtain_device_list_from_udev=0
			use_devicesfile=0 md_component_detection=0 filter=["a|$1|","r|.*|"] }
		backup { backup=0 archive=0 }
		activation { udev_sync=0 udev_rules=0 monitoring=0 verify_udev_operations=1 }
		global { use_lvmpolld=0 locking_dir="/run/lock/lvm" event_activation=0 }
	END
}

# Loads dm-raid and what it needs. Sets modules, the folder that they are in.
raid_modules() {
	modules=/usr/lib/uml/modules/$(uname -r)
	for module in $(sed -n 's|^\(kernel/drivers/md/dm-raid\.ko\): \(.*\)$|\1 \2|p' "$modules/modules.dep" |
		tr ' ' '\n' | tac); do
		busybox insmod "$modules/$module" || :
	done
}
