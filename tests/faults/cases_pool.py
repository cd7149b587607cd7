# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Thin pools under faults: looked at, made, changed and repaired. What a changed pool says
is asked of thin_check and thin_dump."""
import hashlib
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "aids"))
import thin_naive  # noqa: E402
from case import Case, made, read, run  # noqa: E402

POOL = "thin:metadata=m.img,data=d.img"
# 16 blocks of 64 KiB; device 2 is a snapshot of device 1 with a block of its own.
SMALL = """<superblock uuid="" time="1" transaction="0" data_block_size="128" nr_data_blocks="16">
  <device dev_id="1" mapped_blocks="4" transaction="0" creation_time="0" snap_time="1">
    <range_mapping origin_begin="0" data_begin="0" length="4" time="0"/>
  </device>
  <device dev_id="2" mapped_blocks="4" transaction="0" creation_time="1" snap_time="1">
    <range_mapping origin_begin="0" data_begin="0" length="3" time="0"/>
    <single_mapping origin_block="3" data_block="5" time="1"/>
  </device>
</superblock>
"""
DUMPS = {}


def dump(metadata):
    """Everything that a pool says, by thin_dump, if thin_check has nothing to say."""
    key = hashlib.md5(metadata).digest()
    if key not in DUMPS:
        with tempfile.NamedTemporaryFile(suffix=".meta") as f:
            f.write(metadata)
            f.flush()
            sound = subprocess.run(["thin_check", "-q", f.name], check=False).returncode == 0
            done = subprocess.run(["thin_dump", f.name], capture_output=True, check=False)
        DUMPS[key] = done.stdout if sound and done.returncode == 0 else b"not sound"
    return DUMPS[key]


def look_cases(source, work):
    """A pool that a kernel made; what device 1 shows is what that kernel read."""
    folder = os.path.join(work, "thin")
    unpacked = os.path.join(os.environ["COW_UNPACKED"], "thin", "snaps-128k")
    files = {"m.img": read(os.path.join(unpacked, "meta.img")), "d.img": read(os.path.join(unpacked, "data.img"))}
    with open(os.path.join(source, "tests", "fixtures", "thin", "snaps-128k", "facts.txt")) as f:
        wanted = [line.split()[4] for line in f if line.startswith("thin 1 ")][0]
    pool = "thin:metadata=m.img,data=d.img"
    one, other = pool + ",id=1,size=24576s", pool + ",id=4,size=24576s"
    view = made(folder, ["snapdump", "--raw", "-o", "x.img", one], files, "x.img")
    assert hashlib.sha256(view).hexdigest() == wanted
    yield Case("thin-check", ["snapcheck", "--json=j", pool], files, ("j",)).finding()
    yield Case("thin-dump", ["snapdump", "--raw", "-o", "x.img", one], files, ("x.img",), answer={"x.img": view})
    yield Case("thin-map", ["snapdump", "--map", "-o", "x.txt", one], files, ("x.txt",))
    yield Case("thin-pair", ["snapdump", "--map", "-o", "x.txt", one, other], files, ("x.txt",))
    yield Case("thin-delta", ["snapdump", "--delta", "-o", "x.tar", other, one], files, ("x.tar",))
    yield Case("thin-from", ["snapcreate", "--from=" + one, other, "x.img"], files, ("x.img",))


def small_pool(work):
    folder = os.path.join(work, "small-pool")
    os.makedirs(folder, exist_ok=True)
    xml, metadata = os.path.join(folder, "xml"), os.path.join(folder, "m.img")
    with open(xml, "w") as f:
        f.write(SMALL)
    with open(metadata, "wb") as f:
        f.truncate(256 << 10)
    run(["thin_restore", "-i", xml, "-o", metadata], folder)
    return {"m.img": read(metadata), "d.img": bytes(1 << 20)}


def change_cases(files):
    """One transaction each: there is the pool before, or the whole one after."""
    for name, words in (("thin-new-device", ["snapcreate", "--thin", POOL + ",id=9,size=1M"]),
                        ("thin-snapshot", ["snapcreate", "--snapshot-of=1", POOL + ",id=7"]),
                        ("thin-delete", ["snapcreate", "-y", "--delete", POOL + ",id=2"]),
                        ("thin-swap", ["snapmerge", "-y", POOL + ",id=1,size=1M", POOL + ",id=2,size=1M"])):
        yield Case(name, words, files).at_once("m.img", dump)


def pool_cases(source, work):
    yield from look_cases(source, work)
    files = small_pool(work)
    yield from change_cases(files)
    new = POOL.replace("m.img", "x.img")
    yield Case("thin-pool", ["snapcreate", new], {"d.img": files["d.img"]}, ("x.img",))
    # The kernel has said that it needs a check.
    flags = (1).to_bytes(4, "little")
    superblock = thin_naive.seal(files["m.img"][:4] + flags + files["m.img"][8:4096], thin_naive.SUPER)
    damaged = dict(files, **{"m.img": superblock + files["m.img"][4096:]})
    yield Case("thin-repair", ["snapcheck", "-y", "-o", "x.img", POOL], damaged, ("x.img",), good=(1,))
    # A root that cannot be read: what is below is found by its counts.
    folder = os.path.join(os.environ["COW_UNPACKED"], "thin", "damaged")
    rootless = {"m.img": read(os.path.join(folder, "sub-root-csum.meta.img")), "d.img": read(os.path.join(folder, "data.img"))}
    yield Case("thin-repair-root", ["snapcheck", "-y", "-o", "x.img", POOL], rootless, ("x.img",), good=(1,))
    lost = dict(files, **{"m.img": bytes(4096) + files["m.img"][4096:]})
    yield Case("thin-repair-lost", ["snapcheck", "-y", "-c", "64K", "--force=doubtful", "-o", "x.img", POOL], lost,
               ("x.img",), good=(1, 4, 5))
