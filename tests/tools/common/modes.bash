# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Every mode of every tool as commands, and the images that they are about: each option
# stands here at least once (dry_run.bats).

# mode_images: in the current directory, what commands and refused name.
mode_images() {
	pair both-c32
	cp --sparse=always cow.img sibling.img
	cp --sparse=always cow.img bad.img
	poke bad.img $((16384 + 16 * 3 + 14)) '\0377'
	cp --sparse=always origin.img new.img
	snapdump -q --delta -o delta.tar origin.img cow.img
	snapdump -q --tar -o view.tar origin.img cow.img
	echo there >exists
	# What the longer list below needs besides.
	snapdump -q --raw -o view.img origin.img cow.img
	printf '0x0 +\n0x0 %d +\n' "$(stat -c %s cow.img)" >map
	truncate -s 4M ext.img
	mkdir tree
	echo there >tree/note
	mke2fs -q -F -d tree ext.img
	rm -r tree
	snapcreate -q ext.img ext.cow
}

# more_mode_images: and what more_commands names besides.
more_mode_images() {
	tar -xf view.tar manifest.json
	cp "$COW_UNPACKED/lvm/mbr-logical/disk0.img" disk.img
	cp "$COW_UNPACKED/lvm/three-chunk-sizes/disk0.img" lvm.img
	head -c 1M /dev/urandom >source
	truncate -s 1M dest
	snapcreate -q -c 4K clone:metadata=meta,source=source,destination=dest
	snapcreate -q thin:metadata=pool,data=dest
	snapcreate -q --thin thin:metadata=pool,data=dest,id=1
	cp --sparse=always "$COW_UNPACKED/thin/snaps-128k/meta.img" pool.meta
	cp --sparse=always "$COW_UNPACKED/thin/snaps-128k/data.img" pool.data
	cp --sparse=always origin.img after.img
	cp --sparse=always cow.img merged.cow
	snapmerge -q -y --force=volatile --save-undo=undo.img after.img merged.cow
}

# Whatever a tool can make or write.
commands() {
	cat <<-END
		snapmerge origin.img cow.img
		snapmerge --force=volatile --save-undo=undo origin.img cow.img
		snapmerge --sibling=sibling.img origin.img cow.img
		snapmerge --drop-sibling=sibling.img origin.img cow.img
		snapmerge --keep --sparse origin.img cow.img
		snapmerge -o merged origin.img cow.img
		snapmerge --skip-unreadable --force=bad-cow --bad-list=list origin.img cow.img
		snapmerge --skip-unreadable -o merged --bad-list=list origin.img cow.img
		snapcheck origin.img cow.img
		snapcheck -y origin.img bad.img
		snapcheck -p origin.img bad.img
		snapcheck -y --save-undo=undo origin.img bad.img
		snapcheck -y -o repaired origin.img bad.img
		snapcheck -y --skip-unreadable -o repaired origin.img bad.img
		snapcreate origin.img made
		snapcreate --from=new.img --manifest=list origin.img made
		snapcreate --force=overwrite origin.img new.img
		snapcreate --import=delta.tar origin.img made
		snapcreate --import=view.tar origin.img made
		snapdump --tar -o made origin.img cow.img
		snapdump --raw -o made origin.img cow.img
		snapdump --delta -o made origin.img cow.img
		snapdump --map -o made origin.img cow.img
		snapdump --map=ddrescue -o made origin.img cow.img
		snapdump --metadata -o made origin.img cow.img
	END
}

# Each option of each tool that the list above has not.
more_commands() {
	cat <<-END
		snapmerge -y --take-back after.img undo.img
		snapmerge --discard --reflink=auto --batch=1M -q origin.img cow.img
		snapmerge --scrub --progress=never --rate-limit=1G -v -t persistent origin.img cow.img
		snapmerge --image=o=origin.img image:o cow.img
		snapmerge --skip-unreadable --bad-blocks=map -o merged origin.img cow.img
		snapcheck --origin=origin.img cow.img
		snapcheck -c 16K -q --max-findings=1 -t persistent origin.img cow.img
		snapcheck --header-only cow.img
		snapcheck -y --gap=leave -o repaired origin.img bad.img
		snapcheck --is-empty --progress=never --rate-limit=1G origin.img cow.img
		snapcheck --list --image=c=cow.img image:c
		snapcheck --verify=view.tar -v origin.img cow.img
		snapcheck -y --revalidate --force=overwrite -o repaired origin.img bad.img
		snapcheck --bad-blocks=map origin.img cow.img
		snapcreate -c 16K -s 16M --preallocate=falloc -q -t persistent origin.img made
		snapcreate -y -v --progress=never --rate-limit=1G --from-view=cow.img --image=o=origin.img image:o made
		snapdump --files --path=/lost+found --exclude=x -o made ext.img ext.cow
		snapdump --ls --path=/lost+found --exclude=x -o made ext.img ext.cow
		snapdump --changes --reverse -o made ext.img ext.cow
		snapdump --files --only-changed --sparse=no -o made ext.img ext.cow
		snapdump --changes --against=ext.img,ext.cow -o made ext.img
		snapdump --cat=/note --journal=ignore -o made ext.img ext.cow
		snapdump --delta --against=manifest.json --mtime=0 -o made origin.img cow.img
		snapdump --delta --reverse -o made origin.img cow.img
		snapdump --tar --compress=gzip -q -y --progress=never --rate-limit=1G -t persistent -o made origin.img cow.img
		snapdump --raw -v --skip-unreadable --fill=zero --bad-blocks=map -o made origin.img cow.img
		snapdump --metadata -c 16K -o made cow.img
		snapdump --raw --partition=5 --volume=vg0/base -o made disk.img
		snapmerge -y --all-siblings lvm:lvm.img:vg0/base lvm:lvm.img:vg0/snap1
		snapdump --raw --force=damaged --image=o=origin.img -o made image:o cow.img
		snapmerge -y --table='0 2048 clone meta dest source 8'
		snapcheck --table='0 2048 clone meta dest source 8'
		snapdump --raw -o made --table='0 2048 clone meta dest source 8'
		snapcreate --table='0 2048 clone made dest source 8'
		snapcreate thin:metadata=made,data=dest
		snapcreate --thin -s 1M thin:metadata=pool,data=dest
		snapcreate --snapshot-of=1 thin:metadata=pool,data=dest
		snapcreate --snapshot-of=1 --from=source@0+64K thin:metadata=pool,data=dest
		snapcreate --thin --from=source@64K+64K thin:metadata=pool,data=dest
		snapcreate -y --delete thin:metadata=pool,data=dest,id=1
		snapmerge -y thin:metadata=pool.meta,data=pool.data,id=1 thin:metadata=pool.meta,data=pool.data,id=2
		snapcheck thin:metadata=pool.meta,data=pool.data
		snapdump --raw -o made thin:metadata=pool.meta,data=pool.data,id=1,size=24576s
		snapdump --map -o made thin:metadata=pool.meta,data=pool.data,id=1
		snapdump --map -o made thin:metadata=pool.meta,data=pool.data,id=1 thin:metadata=pool.meta,data=pool.data,id=4
		snapdump --delta -o made thin:metadata=pool.meta,data=pool.data,id=1,size=24576s thin:metadata=pool.meta,data=pool.data,id=4,size=24576s
		snapcreate --from=thin:metadata=pool.meta,data=pool.data,id=1,size=24576s thin:metadata=pool.meta,data=pool.data,id=4,size=24576s made
		snapcheck -y -o made --table='0 2048 clone meta dest source 8'
	END
}

# Calls that a real run refuses before it writes.
refused() {
	cat <<-END
		snapmerge cow.img origin.img
		snapmerge origin.img bad.img
		snapmerge origin.img origin.img
		snapmerge -o exists origin.img cow.img
		snapmerge --force=volatile --save-undo=exists origin.img cow.img
		snapmerge --sibling=bad.img origin.img cow.img
		snapmerge --sibling=cow.img origin.img cow.img
		snapmerge --skip-unreadable --force=bad-cow --bad-list=exists origin.img cow.img
		snapmerge -o no/such/merged origin.img cow.img
		snapcheck -y -o exists origin.img bad.img
		snapcheck -y --save-undo=exists origin.img bad.img
		snapcheck -y --save-undo=sibling.img origin.img bad.img
		snapcreate origin.img exists
		snapcreate origin.img cow.img
		snapcreate --from=new.img --manifest=exists origin.img made
		snapcreate origin.img zero:1M
		snapdump --tar -o exists origin.img cow.img
		snapdump --raw -o exists origin.img cow.img
		snapdump --metadata -o exists origin.img cow.img
		snapdump --raw -o origin.img origin.img cow.img
	END
}
